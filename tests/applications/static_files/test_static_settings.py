"""What `static` is given: mistakes, and Django's settings."""

import sys
from types import SimpleNamespace

import pytest
from clients import Kept
from static_sites import Served

from uvicorn import mount, route, static
from uvicorn.applications.contents import served
from uvicorn.applications.mounting import as_application
from uvicorn.errors import RouteError

# ---- mistakes ----


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"folder": None}, "say which folder"),
        ({"folder": "none/such"}, "is not there"),
        ({"folder": 7}, "must be a path"),
        ({"index": "a/b"}, "without '/'"),
        ({"index": ""}, "index must be"),
        ({"index": ".htaccess"}, "index must be"),
        ({"fallback": "../x"}, "fallback must be"),
        ({"fallback": "x/"}, "fallback must be"),
        ({"memory": -1}, "memory must be"),
        ({"memory": True}, "memory must be"),
        ({"immutable": "("}, "regular expression"),
        ({"immutable": 7}, "regular expression"),
        ({"cache_control": "a\r\nb"}, "CR, LF or NUL"),
        ({"headers": [("bad name", "x")]}, "not a header name"),
        ({"headers": [("content-length", "1")]}, "the server's"),
        ({"headers": 7}, "static:"),
        ({"types": {"js": "text/javascript"}}, "types must be"),
        ({"types": {".js": "a\nb"}}, "CR, LF or NUL"),
        ({"django": True}, "say which folder it is"),
    ],
)
def test_mistakes_are_told_when_it_is_served(build, options, text):
    given = {"folder": build, **options}
    made = mount("/static", static(given.pop("folder"), **given))
    with pytest.raises(RouteError) as caught:
        as_application([made])
    assert text in str(caught.value)
    assert "test_static_settings.py:" in str(caught.value)


def test_a_file_is_no_folder(build):
    with pytest.raises(RouteError, match="is no folder"):
        as_application(static(build / "app.js"))


def test_a_start_says_which_files_are_served(build, monkeypatch):
    monkeypatch.chdir(build.parent)
    routes = [mount("/static", static("build/")), mount("/docs", static(build / "docs")), route("http.request", Kept())]
    assert served(as_application(routes))[:2] == [
        ("/static", "files of ./build", "on the event loop"),
        ("/docs", "files of ./build/docs", "on the event loop"),
    ]


# ---- Django ----


@pytest.fixture
def django(monkeypatch, build):
    """Django's settings and storage, as far as they are asked."""
    conf = pytest.importorskip("django.conf")
    storage = pytest.importorskip("django.contrib.staticfiles.storage")
    settings = SimpleNamespace(STATIC_ROOT=build)
    monkeypatch.setattr(conf, "settings", settings)
    monkeypatch.setattr(storage, "staticfiles_storage", SimpleNamespace(hashed_files={"x": "docs/plain.txt"}))
    return settings


def test_the_names_of_djangos_manifest_are_immutable(make_site, django):
    site = Served(make_site, None, django=True)
    assert "immutable" in site.ask("/static/docs/plain.txt").headers["cache-control"]
    assert "immutable" in site.ask("/static/app.3f2a9c1b.js").headers["cache-control"]
    assert site.ask("/static/app.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("root", "text"),
    [(None, "STATIC_ROOT is not set"), ("", "is not set"), ("/none/such", "run manage.py collectstatic")],
)
def test_a_django_without_static_files_says_what_to_do(django, root, text):
    django.STATIC_ROOT = root
    with pytest.raises(RouteError, match=text):
        as_application(static(django=True))


@pytest.mark.parametrize("error", ["ImproperlyConfigured", "ValueError"])
def test_a_django_that_is_not_configured_is_told(django, monkeypatch, error):
    from django.core import exceptions

    kind = getattr(exceptions, error, ValueError)

    class Broken:
        @property
        def STATIC_ROOT(self):
            raise kind("set DJANGO_SETTINGS_MODULE")

    monkeypatch.setattr("django.conf.settings", Broken())
    with pytest.raises(RouteError, match="set DJANGO_SETTINGS_MODULE"):
        as_application(static(django=True))


def test_without_django_that_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "django.conf", None)
    with pytest.raises(RouteError, match="Django is not installed"):
        as_application(static(django=True))
