"""Importing an application by name: one clear sentence for each mistake in the name."""

import sys
from pathlib import Path

import pytest
from clients import Site
from gunicorn.errors import AppImportError

from uvicorn.applications.lifecycle import Lifecycle
from uvicorn.applications.loading import load_application, load_site, make_application
from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.applications.static_targets import is_folder

APPLICATION = """
from uvicorn import route

def application(message):
    pass

def hello_world(message):
    pass

async def hello_async(message):
    pass

def factory(name, *, loud=False):
    def made(message):
        pass
    made.facts = name, loud
    return made

class HelloClass:
    pass

def list_factory():
    return [route("http.request", hello_world)]

routes = [route("http.request", hello_world)]
number = 7
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of modules, first on the path; what a test imports from it is forgotten."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    write(tmp_path, "webshop_app.py", APPLICATION)
    yield tmp_path
    for name in set(sys.modules) - before:
        module = sys.modules[name]
        places = (getattr(module, "__file__", None), *getattr(module, "__path__", ()))
        if any(place and Path(place).is_relative_to(tmp_path) for place in places):
            del sys.modules[name]  # and no library: half of it would stay


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def refusal(uri):
    with pytest.raises(AppImportError) as caught:
        load_application(uri)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return text


@pytest.mark.parametrize("name", ["hello_world", "hello_async", "routes", "number"])
def test_a_name_is_imported(site, name):
    loaded = load_application(f"webshop_app:{name}")
    assert loaded is getattr(sys.modules["webshop_app"], name)


@pytest.mark.parametrize("uri", ["webshop_app", "webshop_app:"])
def test_the_name_is_application_if_none_is_given(site, uri):
    assert load_application(uri).__name__ == "application"


def test_a_factory_is_called_with_its_arguments(site):
    assert load_application("webshop_app:factory('shop', loud=True)").facts == ("shop", True)


def test_a_factory_may_return_a_list_of_routes(site):
    uri = "webshop_app:list_factory()"
    assert isinstance(make_application(load_application(uri), uri), Router)


def test_a_module_in_a_package_is_imported(site):
    write(site, "webshop_package/__init__.py", "")
    write(site, "webshop_package/views.py", APPLICATION)
    assert load_application("webshop_package.views:hello_world").__module__ == "webshop_package.views"


# ---- wrong names ----


def test_a_wrong_name_is_told_with_the_nearest_one(site):
    text = refusal("webshop_app:helo_world")
    assert text == "There is no 'helo_world' in 'webshop_app'; did you mean 'hello_world'?"


def test_the_nearest_name_is_one_that_can_be_served(site):
    assert "HelloClass" not in refusal("webshop_app:HelloClas")
    assert "did you mean 'routes'?" in refusal("webshop_app:route_s")


def test_a_name_that_is_like_no_other_is_told_alone(site):
    assert refusal("webshop_app:zzzzzzzz") == "There is no 'zzzzzzzz' in 'webshop_app'"


def test_a_wrong_module_is_told_with_the_nearest_one(site):
    text = refusal("webshop_ap:hello_world")
    assert text == "There is no module 'webshop_ap'; did you mean 'webshop_app'?"


def test_a_wrong_module_that_is_like_no_other_is_told_alone(site):
    assert refusal("zzqqzzqq:hello_world") == "There is no module 'zzqqzzqq'"


def test_a_wrong_module_in_a_package_is_told_with_the_nearest_one(site):
    write(site, "webshop_package/__init__.py", "")
    write(site, "webshop_package/views.py", APPLICATION)
    text = refusal("webshop_package.view:hello_world")
    assert text == "There is no module 'webshop_package.view'; did you mean 'webshop_package.views'?"


def test_a_package_that_does_not_exist_is_told(site):
    assert refusal("zzqqzzqq.views:hello_world").startswith("There is no module 'zzqqzzqq'")


def test_a_module_within_a_module_is_told(site):
    assert refusal("webshop_app.views:hello_world").startswith("There is no module 'webshop_app.views'")


@pytest.mark.parametrize(
    ("uri", "meant"),
    [("webshop_app.py:hello_world", "webshop_app:hello_world"), ("webshop_app.py", "webshop_app:application")],
)
def test_a_file_name_is_told_with_the_name_that_was_meant(site, uri, meant):
    assert f"did you mean '{meant}'?" in refusal(uri)


def test_a_path_is_told_with_the_name_that_was_meant(site):
    write(site, "webshop_folder/views.py", APPLICATION)
    assert "did you mean 'webshop_folder.views:hello_world'?" in refusal("webshop_folder/views.py:hello_world")


@pytest.mark.parametrize("uri", ["", ":hello_world", ".webshop_app:hello_world", "webshop_app..x:hello_world", "."])
def test_what_is_no_name_of_a_module_is_told(site, uri):
    assert "is not the name of a module; write module:name" in refusal(uri)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("factry('shop')", "There is no 'factry' in 'webshop_app'; did you mean 'factory'?"),
        ("factory('shop', 'more')", "cannot be called: too many positional arguments"),
        ("factory()", "cannot be called: missing a required argument: 'name'"),
        ("number()", "cannot be called: 7 is not a callable object"),
        ("factory(1 + x)", "must be literals"),
        ("factory(**{'name': 1})", "must be literals"),
        ("factory(*['shop'])", "must be literals"),
        ("factory('shop'", "is not a call of one function"),
        ("factory('shop')('more')", "is not a call of one function"),
        ("factory('shop').made", "is not a call of one function"),
    ],
)
def test_a_wrong_call_of_a_factory_is_told(site, call, sentence):
    assert sentence in refusal(f"webshop_app:{call}")


# ---- mistakes inside the application ----


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import a_module_that_is_not_there", ModuleNotFoundError),
        ("from webshop_app import nothing_like_it", ImportError),
        ("int('x')", ValueError),
        ("None + 1", TypeError),
        ("undefined_name", NameError),
        ("def broken(:", SyntaxError),
        ("None.nothing", AttributeError),
        ("raise SystemExit(3)", SystemExit),
    ],
)
def test_an_error_in_the_applications_own_import_is_left_as_it_is(site, code, error):
    write(site, "webshop_broken.py", code)
    with pytest.raises(error) as caught:
        load_application("webshop_broken:application")
    assert not isinstance(caught.value, AppImportError)


def test_a_missing_import_of_a_package_is_left_as_it_is(site):
    write(site, "webshop_package/__init__.py", "import a_module_that_is_not_there")
    write(site, "webshop_package/views.py", APPLICATION)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        load_application("webshop_package.views:hello_world")


def test_an_error_in_a_factory_is_left_as_it_is(site):
    write(site, "webshop_broken.py", "def factory():\n    raise ValueError('in the factory')")
    with pytest.raises(ValueError, match="in the factory"):
        load_application("webshop_broken:factory()")


# ---- what was loaded ----


@pytest.mark.parametrize(("name", "kind"), [("hello_world", SingleConsumer), ("routes", Router)])
def test_what_can_be_served_is_made_an_application(site, name, kind):
    uri = f"webshop_app:{name}"
    assert isinstance(make_application(load_application(uri), uri), kind)


@pytest.mark.parametrize("name", ["number", "HelloClass"])
def test_what_cannot_be_served_is_told_with_its_name(site, name):
    uri = f"webshop_app:{name}"
    with pytest.raises(AppImportError, match=f"Cannot serve 'webshop_app:{name}': ") as caught:
        make_application(load_application(uri), uri)
    assert caught.value.__suppress_context__


def test_all_mistakes_of_a_list_are_told_in_one_message_each_with_file_and_line(site):
    write(
        site,
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
def test_the_hooks_of_a_module_belong_to_its_consumer_or_its_list(site, name):
    write(site, "webshop_hooked.py", HOOKED)
    hooks = hooks_of(name)
    module = sys.modules["webshop_hooked"]
    assert hooks == ((module.on_startup,), (module.on_shutdown,))


@pytest.mark.parametrize("name", ["asgi_application", "asgi2_application", "wsgi_application"])
def test_what_a_wsgi_or_asgi_module_calls_on_startup_is_its_own_affair(site, name):
    write(site, "webshop_hooked.py", HOOKED)
    assert hooks_of(name) == ((), ())


@pytest.mark.parametrize("hook", ["def on_startup(app): pass", "on_startup = 7"])
def test_an_asgi_module_with_hooks_of_another_shape_is_served(site, hook):
    write(site, "webshop_hooked.py", HOOKED + hook)
    assert hooks_of("asgi_application") == ((), ())
    with pytest.raises(AppImportError, match="on_startup"):
        hooks_of("routes")


def test_a_site_of_several_has_the_hooks_of_each_consumer_and_list_of_it(site):
    write(site, "webshop_hooked.py", HOOKED)
    write(site, "webshop_other.py", HOOKED)
    application = load_site("/=webshop_hooked:asgi_application /a=webshop_other:consumer")
    assert [hook.__module__ for hook in application.hooks.on_startup] == ["webshop_other"]


def test_the_startup_functions_of_a_fastapi_module_run_once(site):
    """With FastAPI and Starlette the same functions are given to the application, which calls them itself."""
    write(
        site,
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
def test_a_target_is_told_from_a_folder(site, target, expected):
    (site / "files").mkdir()
    write(site, "package/__init__.py", "")
    write(site, "namespace/settings.py", "")
    write(site, "beside/a.html", "")
    write(site, "beside.py", "")
    assert is_folder(target) is expected


def test_a_site_may_have_folders(site):
    write(site, "files/a.txt", "a")
    application = load_site("/=webshop_app:hello_world /files=./files/ /other=files")
    names = [consumer.name for consumer in application.consumers()]
    assert sorted(names) == ["files of ./files", "files of ./files", "webshop_app.hello_world"]


def test_a_folder_that_is_not_there_is_one_sentence(site):
    with pytest.raises(AppImportError) as caught:
        load_site("/=webshop_app:hello_world /files=./none/")
    assert str(caught.value) == f"Cannot serve './none/': static: {site}/none is not there"
