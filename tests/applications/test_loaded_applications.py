"""What was imported by name becomes an application: consumers, lists, the hooks of its module, folders."""

import sys

import pytest
from clients import Site
from gunicorn.errors import AppImportError
from loaded_modules import write

from uvicorn.applications.lifecycle import Lifecycle
from uvicorn.applications.loading import load_application, load_site, make_application
from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.applications.static_targets import is_folder

# ---- what was loaded ----


@pytest.mark.parametrize(("name", "kind"), [("hello_world", SingleConsumer), ("routes", Router)])
def test_what_can_be_served_is_made_an_application(webshop, name, kind):
    uri = f"webshop_app:{name}"
    assert isinstance(make_application(load_application(uri), uri), kind)


@pytest.mark.parametrize("name", ["number", "HelloClass"])
def test_what_cannot_be_served_is_told_with_its_name(webshop, name):
    uri = f"webshop_app:{name}"
    with pytest.raises(AppImportError, match=f"Cannot serve 'webshop_app:{name}': ") as caught:
        make_application(load_application(uri), uri)
    assert caught.value.__suppress_context__


def test_all_mistakes_of_a_list_are_told_in_one_message_each_with_file_and_line(webshop):
    write(
        webshop,
        "webshop_lists.py",
        """
from uvicorn import include, mount, route

def consumer(message):
    pass

inner = [route("http.request", consumer, path="(")]
routes = [
    include(inner),
    mount("x", consumer),
]
on_startup = 7
""",
    )
    with pytest.raises(AppImportError) as caught:
        make_application(load_application("webshop_lists:routes"), "webshop_lists:routes")
    first, *lines = str(caught.value).splitlines()
    assert first == "Cannot serve 'webshop_lists:routes': 3 mistakes"
    assert [line.split(" must ")[0].split(" of a ")[0].strip() for line in lines] == [
        "on_startup",
        "webshop_lists.py:7: path '('",
        "webshop_lists.py:10: the prefix",
    ]


# ---- on_startup and on_shutdown of the module ----


HOOKED = """
from uvicorn import Router, mount, route

calls = []

def on_startup():
    calls.append("startup")

async def on_shutdown():
    calls.append("shutdown")

def consumer(message):
    pass

async def consumer_async(message):
    pass

async def asgi_application(scope, receive, send):
    pass

def asgi2_application(scope):
    async def call(receive, send):
        pass
    return call

def wsgi_application(environ, start_response):
    return []

routes = [mount("/asgi", asgi_application), route("http.request", consumer)]
router = Router(routes)
"""


def hooks_of(name, interface="auto"):
    uri = f"webshop_hooked:{name}"
    return make_application(load_application(uri), uri, interface).hooks


@pytest.mark.parametrize("name", ["consumer", "consumer_async", "routes", "router"])
def test_the_hooks_of_a_module_belong_to_its_consumer_or_its_list(webshop, name):
    write(webshop, "webshop_hooked.py", HOOKED)
    hooks = hooks_of(name)
    module = sys.modules["webshop_hooked"]
    assert hooks == ((module.on_startup,), (module.on_shutdown,))


@pytest.mark.parametrize("name", ["asgi_application", "asgi2_application", "wsgi_application"])
def test_what_a_wsgi_or_asgi_module_calls_on_startup_is_its_own_affair(webshop, name):
    write(webshop, "webshop_hooked.py", HOOKED)
    assert hooks_of(name) == ((), ())


@pytest.mark.parametrize("hook", ["def on_startup(app): pass", "on_startup = 7"])
def test_an_asgi_module_with_hooks_of_another_shape_is_served(webshop, hook):
    write(webshop, "webshop_hooked.py", HOOKED + hook)
    assert hooks_of("asgi_application") == ((), ())
    with pytest.raises(AppImportError, match="on_startup"):
        hooks_of("routes")


def test_a_site_of_several_has_the_hooks_of_each_consumer_and_list_of_it(webshop):
    write(webshop, "webshop_hooked.py", HOOKED)
    write(webshop, "webshop_other.py", HOOKED)
    application = load_site("/=webshop_hooked:asgi_application /a=webshop_other:consumer")
    assert [hook.__module__ for hook in application.hooks.on_startup] == ["webshop_other"]


def test_the_startup_functions_of_a_fastapi_module_run_once(webshop):
    """With FastAPI and Starlette the same functions are given to the application, which calls them itself."""
    write(
        webshop,
        "webshop_fastapi.py",
        """
from contextlib import asynccontextmanager
from fastapi import FastAPI

calls = []

def on_startup():
    calls.append("startup")

def on_shutdown():
    calls.append("shutdown")

@asynccontextmanager
async def lifespan(app):
    on_startup()
    yield
    on_shutdown()

app = FastAPI(lifespan=lifespan)
""",
    )
    uri = "webshop_fastapi:app"
    application = make_application(load_application(uri), uri)
    site_of_doubles = Site(application)
    lifecycle = Lifecycle(application, site_of_doubles.service.dispatcher, site_of_doubles.log, "auto")
    loop = site_of_doubles.loop
    loop.run_until_complete(lifecycle.start())
    calls = sys.modules["webshop_fastapi"].calls
    assert calls == ["startup"]
    loop.run_until_complete(lifecycle.stop())
    assert calls == ["startup", "shutdown"]
    site_of_doubles.end()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("./build", True), ("./build/", True), ("../x", True), ("/srv/x", True), ("~/x", True), ("build/", True),
        (".", True), ("files", True), ("none", False), ("package", False), ("module:name", False), ("module", False),
        ("django:", False), ("namespace", False), ("beside", False), ("beside/", True),
    ],
)  # fmt: skip
def test_a_target_is_told_from_a_folder(webshop, target, expected):
    (webshop / "files").mkdir()
    write(webshop, "package/__init__.py", "")
    write(webshop, "namespace/settings.py", "")
    write(webshop, "beside/a.html", "")
    write(webshop, "beside.py", "")
    assert is_folder(target) is expected


def test_a_site_may_have_folders(webshop):
    write(webshop, "files/a.txt", "a")
    application = load_site("/=webshop_app:hello_world /files=./files/ /other=files")
    names = [consumer.name for consumer in application.consumers()]
    assert sorted(names) == ["files of ./files", "files of ./files", "webshop_app.hello_world"]


def test_a_folder_that_is_not_there_is_one_sentence(webshop):
    with pytest.raises(AppImportError) as caught:
        load_site("/=webshop_app:hello_world /files=./none/")
    assert str(caught.value) == f"Cannot serve './none/': static: {webshop}/none is not there"
