"""Django by both handlers, Flask and Starlette: the same features, each by the framework's own means."""

import os

import django
import flask
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse as DjangoFile
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect as django_redirect
from django.urls import path
from django.utils.http import http_date
from starlette.applications import Starlette
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from uvicorn import mount

FILES = os.environ["FILES"]
BIG = os.path.join(FILES, "big.bin")
PART = 1 << 16


def parts():
    with open(BIG, "rb") as file:
        while part := file.read(PART):
            yield part


async def parts_async():
    for part in parts():
        yield part


# ---- Django ----

settings.configure(
    SECRET_KEY="a test has no secrets",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.http.ConditionalGetMiddleware"],
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["console"]},
    },
)
django.setup(set_prefix=False)


def page(request):
    response = HttpResponse("the page")
    response["Last-Modified"] = http_date(1_700_000_000)
    return response


def stream(request):
    return StreamingHttpResponse(parts_async() if hasattr(request, "scope") else parts())


def go(request):
    response = django_redirect("seen")
    response.set_cookie("name", "a b")
    response.set_cookie("other", "x")
    return response


def seen(request):
    return HttpResponse(f"{request.COOKIES['name']} {request.COOKIES['other']}")


def broken(request):
    raise LookupError("secret of Django")


urlpatterns = [
    path("big", lambda request: DjangoFile(open(BIG, "rb"))),  # noqa: SIM115 (Django closes it)
    path("stream", stream), path("go", go),
    path("seen", seen, name="seen"), path("page", page), path("broken", broken),
]  # fmt: skip

# ---- Flask ----

shop = flask.Flask(__name__)
shop.add_url_rule("/big", "big", lambda: flask.send_file(BIG))
shop.add_url_rule("/page", "page", lambda: flask.send_file(os.path.join(FILES, "page.txt")))
shop.add_url_rule("/stream", "stream", lambda: flask.Response(parts()))


@shop.get("/go")
def flask_go():
    response = flask.redirect(flask.url_for("flask_seen"))
    response.set_cookie("name", "a b")
    response.set_cookie("other", "x")
    return response


@shop.get("/seen")
def flask_seen():
    return f"{flask.request.cookies['name']} {flask.request.cookies['other']}"


@shop.get("/broken")
def flask_broken():
    raise LookupError("secret of Flask")


# ---- Starlette ----


async def star_go(request):
    response = RedirectResponse(request.url_for("seen"))
    response.set_cookie("name", "a b")
    response.set_cookie("other", "x")
    return response


async def star_seen(request):
    return Response(f"{request.cookies['name']} {request.cookies['other']}")


async def star_broken(request):
    raise LookupError("secret of Starlette")


async def star_big(request):
    return FileResponse(BIG)


async def star_stream(request):
    return StreamingResponse(parts_async())


service = Starlette(
    routes=[
        Route("/big", star_big),
        Route("/stream", star_stream),
        Route("/go", star_go),
        Route("/seen", star_seen, name="seen"),
        Route("/broken", star_broken),
        Mount("/static", StaticFiles(directory=FILES)),
    ]
)

routes = [
    mount("/django", WSGIHandler()), mount("/asgi", ASGIHandler()), mount("/flask", shop), mount("/star", service),
]  # fmt: skip
