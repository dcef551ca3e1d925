"""A folder of static files, and a site that serves it."""

import pytest
from static_sites import LARGE, PAGE, Served, write

from uvicorn.applications import static_entries


@pytest.fixture
def build(tmp_path):
    """A folder as a build leaves it, and a secret beside it."""
    folder = tmp_path / "build"
    write(tmp_path / "secret.txt", b"secret")
    write(folder / "index.html", PAGE)
    write(folder / "app.js", b"let a = 1;" * 300)
    write(folder / "app.3f2a9c1b.js", b"let b = 2;" * 100)
    write(folder / "docs" / "index.html", b"docs")
    write(folder / "docs" / "plain.txt", b"0123456789")
    write(folder / "empty" / "x.txt", b"")
    write(folder / "large.bin", LARGE)
    write(folder / ".env", b"secret")
    write(folder / ".git" / "config", b"secret")
    return folder


@pytest.fixture
def site(make_site, build):
    return Served(make_site, build)


@pytest.fixture
def remembers(monkeypatch):
    """Remember files at once, however young they are."""
    monkeypatch.setattr(static_entries, "_SETTLED", -(10**18))
