"""An ASGI application alone or in a list, and a folder of modules that can be imported."""

import sys
from pathlib import Path

import pytest
from loaded_modules import APPLICATION, write

from uvicorn import mount


@pytest.fixture(params=["alone", "mounted"])
def connect(request, make_site):
    """Make a site of an application, alone or in a list; return a client of it."""

    def made(app, **options):
        return make_site([mount("/", app)] if request.param == "mounted" else app, **options).connect()

    return made


@pytest.fixture
def webshop(tmp_path, monkeypatch):
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
