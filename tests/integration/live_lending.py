"""A Django site whose asynchronous views keep their requests open, beside a synchronous one."""

import asyncio
import os
import threading

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings

settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SQLITE_PATH"]}},
)

import django  # noqa: E402 (after the settings)

django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def query():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return threading.get_ident()


async def stream(request):
    """Send a line, and then nothing until the client leaves."""
    if "query" in request.GET:
        await sync_to_async(query)()

    async def lines():
        yield "data: begun\n\n"
        await asyncio.Event().wait()

    return StreamingHttpResponse(lines(), content_type="text/event-stream")


def page(request):
    query()
    return HttpResponse("page")


async def both(request):
    """Use the thread of the request, and then another one."""
    first = await sync_to_async(query)()
    await asyncio.to_thread(threading.get_ident)
    return HttpResponse(str(first == await sync_to_async(query)()))


def many(request):
    """Say how many threads some calls had that this view waits for."""

    async def gathered():
        return await asyncio.gather(*(asyncio.to_thread(query) for _ in range(40)))

    return HttpResponse(str(len(set(async_to_sync(gathered)()))))


urlpatterns = [path("stream", stream), path("page", page), path("both", both), path("many", many)]
app = get_asgi_application()
