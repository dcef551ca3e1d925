"""Which files are watched in development, and what is a change."""

import os
import sys
import time
import types

import pytest
from patience import PATIENCE_SECONDS

from uvicorn.command import reloader
from uvicorn.command.reloader import FileReloader
from uvicorn.command.watching import Rules, Snapshot, stale_bytecode


@pytest.fixture
def site(tmp_path):
    for name in (
        "app.py", "page.html", "mail.txt", "notes.md", ".hidden.py", "old.py~", "package/module.py",
        "package/data.json",
        "templates/base.jinja", "templates/mail.txt", "__pycache__/app.py", "node_modules/a/index.html", ".git/hook.py",
        "venv/pyvenv.cfg", "venv/lib/module.py", "site-packages/other.py", "tests/test_app.py",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path


USUAL = {"app.py", "page.html", "package/module.py", "templates/base.jinja", "tests/test_app.py"}


def watched(site, **rules):
    rules = {"folders": (str(site),)} | rules
    return {os.path.relpath(path, site) for path in Rules(**rules).files()}


def test_python_files_and_templates_are_watched_and_what_nobody_edits_is_not(site):
    assert watched(site) == USUAL


@pytest.mark.parametrize(
    ("includes", "more"),
    [
        (("*.md",), {"notes.md"}),
        (("package/*.json",), {"package/data.json"}),
        (("./package/*.json", "mail.*"), {"package/data.json", "mail.txt", "templates/mail.txt"}),
        ((".hidden.py",), set()),
    ],
)
def test_globs_add_files(site, includes, more):
    assert watched(site, includes=includes) == USUAL | more


@pytest.mark.parametrize(
    ("excludes", "less"),
    [
        (("tests",), {"tests/test_app.py"}),
        (("test_*",), {"tests/test_app.py"}),
        (("*.html", "templates/*"), {"page.html", "templates/base.jinja"}),
    ],
)
def test_globs_take_files_away(site, excludes, less):
    assert watched(site, excludes=excludes) == USUAL - less


def test_a_folder_that_is_included_is_watched(site):
    folders = (str(site / "package"),)
    assert watched(site, folders=folders) == {"package/module.py"}
    assert watched(site, folders=folders, includes=(str(site / "tests"),)) == {"package/module.py", "tests/test_app.py"}


def test_all_files_of_a_folder_of_templates_are_watched(site):
    folders = (str(site / "package"),)
    found = watched(site, folders=folders, templates=(str(site / "templates"),))
    assert found == {"package/module.py", "templates/base.jinja", "templates/mail.txt"}


def test_a_project_below_a_hidden_folder_is_watched(tmp_path):
    folder = tmp_path / ".work" / "project"
    folder.mkdir(parents=True)
    (folder / "app.py").write_text("")
    assert watched(folder) == {"app.py"}


def test_folders_that_are_not_there_are_passed_over(site):
    assert watched(site, folders=(str(site / "nowhere"),)) == set()


# ---- changes ----


@pytest.fixture
def snapshot(site):
    return Snapshot(Rules((str(site),)))


def test_nothing_has_changed(snapshot):
    assert snapshot.changes() == []


def test_a_file_that_was_changed_made_or_removed_is_told_once(site, snapshot):
    (site / "app.py").write_text("x = 1\n")
    (site / "new.py").write_text("")
    (site / "page.html").unlink()
    names = {os.path.relpath(path, site) for path in snapshot.changes()}
    assert names == {"app.py", "new.py", "page.html"}
    assert snapshot.changes() == []


def test_a_file_in_the_place_of_another_one_is_a_change_though_it_has_its_size_and_time(site, snapshot):
    old = (site / "app.py").stat()
    other = site / "other.tmp"
    other.write_text("")
    os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
    other.replace(site / "app.py")
    assert snapshot.changes() == [str(site / "app.py")]


def test_a_module_that_is_imported_later_is_no_change_but_a_change_of_it_is(site):
    single = []
    snapshot = Snapshot(Rules((str(site / "package"),)), lambda: single)
    single.append(str(site / "app.py"))
    assert snapshot.changes() == []
    (site / "app.py").write_text("x = 1\n")
    assert snapshot.changes() == single
    single.clear()
    assert snapshot.changes() == []


def test_templates_that_are_known_later_are_no_change(site):
    snapshot = Snapshot(Rules((str(site / "package"),)))
    snapshot.watch(Rules((str(site / "package"),), templates=(str(site / "templates"),)))
    assert snapshot.changes() == []
    (site / "templates" / "mail.txt").write_text("Dear customer")
    assert snapshot.changes() == [str(site / "templates" / "mail.txt")]


def test_what_is_saved_before_more_is_watched_is_a_change_all_the_same(site):
    snapshot = Snapshot(Rules((str(site),)))
    changed, removed = site / "app.py", site / "page.html"
    changed.write_text("saved = True\n")
    removed.unlink()
    snapshot.watch(Rules((str(site),), templates=(str(site / "templates"),)))
    assert sorted(snapshot.changes()) == [str(changed), str(removed)]
    assert snapshot.changes() == []


def test_what_is_saved_twice_in_one_second_is_not_served_from_its_bytecode(tmp_path):
    source = tmp_path / "module.py"
    source.write_text("x = 1\n")
    cached = tmp_path / "__pycache__"
    cached.mkdir()
    from importlib.util import cache_from_source

    with open(cache_from_source(str(source)), "w"):
        pass
    stale_bytecode([str(source), str(tmp_path / "page.html"), str(tmp_path / "gone.py")])
    assert [*cached.iterdir()] == []


# ---- the thread ----


def without(*names):
    found = reloader.find_spec
    return lambda name: None if name in names else found(name)


@pytest.fixture(params=["watchfiles", "watchdog", "none of both", "poll", "broken"])
def engine(request, monkeypatch):
    """Gunicorn's name of an engine, with what is installed and what is not."""
    if request.param in ("watchfiles", "watchdog"):
        pytest.importorskip(request.param)
    missing = {"watchdog": ("watchfiles",), "none of both": ("watchfiles", "watchdog")}
    monkeypatch.setattr(reloader, "find_spec", without(*missing.get(request.param, ())))
    if request.param == "broken":

        def fail():
            raise OSError("no more folders can be watched")

        monkeypatch.setattr(reloader, "_waiter", lambda engine, roots: fail)
    return "poll" if request.param == "poll" else "auto"


def test_a_change_is_told_whatever_is_installed(engine, site):
    told = []
    thread = FileReloader(Rules((str(site),)), [], engine, 0.01, told.append)
    (site / "app.py").write_text("x = 1\n")  # before it has begun
    thread.start()
    thread.start()  # Gunicorn does
    thread.join(PATIENCE_SECONDS)
    assert told == [[str(site / "app.py")]]


def test_a_change_after_the_beginning_is_told(engine, site):
    told = []
    extra = site / "settings.ini"
    extra.write_text("")
    thread = FileReloader(Rules((str(site),)), [str(extra)], engine, 0.01, told.append)
    thread.start()
    thread.watch_more(Rules((str(site),), templates=(str(site / "templates"),)))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not told and time.monotonic() < deadline:  # it may just be looking
        extra.write_text(f"time = {time.monotonic()}\n")
        thread.join(0.1)
    thread.join(PATIENCE_SECONDS)
    assert set(told[0]) == {str(extra)}
    assert not thread.is_alive()


def test_modules_that_do_something_when_they_are_asked_for_a_name_are_left_alone(site, monkeypatch):
    class Lazy(types.ModuleType):
        def __getattr__(self, name):
            raise RuntimeError(f"{name} is not to be loaded now")

    edited = types.ModuleType("edited")
    edited.__file__ = str(site / "elsewhere.ini")
    for name, module in (("lazy", Lazy("lazy")), ("number", 7), ("edited", edited)):
        monkeypatch.setitem(sys.modules, f"_test_{name}", module)
    thread = FileReloader(Rules((str(site / "package"),)), [], "poll", 0.01, print)
    found = set(thread._single_files())
    assert edited.__file__ in found
    assert found.isdisjoint({"", None})
