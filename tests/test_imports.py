"""The layering: imports go one way, and threads, tasks and sockets stay in their rooms."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
from pathlib import Path

import pytest

import uvicorn

ROOT = Path(uvicorn.__file__).parent
MODULES = {
    ".".join(("uvicorn", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}

# Who may import whom: a room imports from itself and from those named here; those in OPEN are open to all.
ROOMS = {
    "errors": set(),
    "variant": set(),
    "messages": set(),
    "wire": set(),
    "bridge": {"wire"},
    "applications": {"wire", "bridge", "layers"},
    "connections": {"wire", "bridge"},
    "layers": set(),
    "watching": {"wire", "bridge", "connections"},
    "command": {"wire", "bridge", "applications", "connections", "layers", "watching", "channels1"},
    "channels1": {"applications", "bridge", "layers"},
    "workers": {"command"},
    "__main__": {"command"},
    # Names under which other packages import what is elsewhere:
    "_ansi": {"command"},
    "_compat": {"command"},
    "_subprocess": {"command"},
    "_types": set(),
    "config": {"command"},
    "importer": {"applications"},
    "logging": {"command"},
    "lifespan": {"command"},
    "loops": {"command"},
    "main": {"command"},
    "middleware": {"command", "applications"},
    "protocols": {"command"},
    "server": {"command", "_compat"},
    "supervisors": {"command"},
}
OPEN = {"errors", "messages", "variant"}
PUBLIC = "uvicorn"  # the package itself gathers the public names
SANS_IO = ("uvicorn.messages", "uvicorn.wire.", "uvicorn.applications.origins")
THREADS = ("threading", "concurrent.futures", "concurrent", "janus", "queue", "_thread", "multiprocessing")
_CIMPORT = re.compile(r"^\s*from\s+([\w.]+)\s+cimport\b", re.MULTILINE)
IO = ("asyncio", "socket", "ssl", "select", "selectors", "uvloop", *THREADS)


def imports_of(path):
    """Return the modules that a file imports, anywhere in it, those for type checkers alone too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    declared = path.with_suffix(".pxd")
    if declared.exists():
        found.update(_CIMPORT.findall(declared.read_text(encoding="utf-8")))
    return found


@functools.cache  # of what runs these tests alone: each process of the suite imports this file
def all_imports():
    return {module: imports_of(path) for module, path in MODULES.items()}


def room_of(module):
    return module.removeprefix("uvicorn.").partition(".")[0]


OURS = [module for module in MODULES if module != PUBLIC]


@pytest.mark.parametrize("module", OURS)
def test_every_module_has_a_room(module):
    assert room_of(module) in ROOMS


@pytest.mark.parametrize("module", OURS)
def test_a_module_imports_from_its_own_room_and_those_that_it_may_know(module):
    room = room_of(module)
    allowed = ROOMS[room] | OPEN | {room}
    assert [name for name in all_imports()[module] if name in OURS and room_of(name) not in allowed] == []


KNOWING = ("uvicorn.bridge.", "uvicorn.supervisors.")  # what supervises processes has no loop


@pytest.mark.parametrize("module", [module for module in OURS if not module.startswith(KNOWING)])
def test_only_the_bridge_knows_threads(module):
    assert all_imports()[module].isdisjoint(THREADS)


@pytest.mark.parametrize("module", [module for module in OURS if f"{module}.".startswith(SANS_IO)])
def test_the_grammar_knows_no_loop_thread_or_socket(module):
    assert all_imports()[module].isdisjoint(IO)


@pytest.mark.parametrize(("library", "module"), [("ngh2", "uvicorn.wire.h2_ngh2"), ("h2", "uvicorn.wire.h2_pure")])
def test_each_engine_of_http2_is_known_in_one_file(library, module):
    assert [found for found, names in all_imports().items() if library in names] == [module]


def test_httptools_is_known_in_one_file():
    assert [module for module, names in all_imports().items() if "httptools" in names] == ["uvicorn.wire.parser"]


def test_websockets_is_known_in_three_files():
    knowing = [
        module for module, names in all_imports().items() if any(name.startswith("websockets") for name in names)
    ]
    assert sorted(knowing) == ["uvicorn.wire.deflate", "uvicorn.wire.frames", "uvicorn.wire.opening"]


def test_janus_is_known_in_one_file():
    assert [module for module, names in all_imports().items() if "janus" in names] == ["uvicorn.bridge.inbox"]


def test_the_bridge_knows_only_the_grammar_of_replies_of_the_wire():
    known = {
        name
        for module in OURS
        if module.startswith("uvicorn.bridge.")
        for name in all_imports()[module]
        if name in OURS and name.startswith("uvicorn.wire.")
    }
    assert known == {
        "uvicorn.wire.reply",
        "uvicorn.wire.reply_sequence",
        "uvicorn.wire.shared",
        "uvicorn.wire.socket_reply",
    }


def test_an_application_can_import_the_package_without_the_worker():
    assert not any("worker" in name for name in _top_level_imports(MODULES[PUBLIC]))


def _top_level_imports(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]


def test_no_import_leads_back():
    graph = {module: all_imports()[module] & {*OURS} - {module} for module in OURS}
    order = [*graphlib.TopologicalSorter(graph).static_order()]  # raises CycleError, which names the circle
    assert {*order} == {*OURS}


def test_the_walker_sees_what_it_must_see(tmp_path):
    path = tmp_path / "example.py"
    path.write_text(
        "import a\nfrom b.c import d\nif TYPE_CHECKING:\n    import hidden\nelse:\n    import e\n"
        "def f():\n    import g.h\n",
        encoding="utf-8",
    )
    path.with_suffix(".pxd").write_text("from uvicorn.wire.reply cimport Fields\n", encoding="utf-8")
    assert imports_of(path) == {"a", "b.c", "b.c.d", "hidden", "e", "g.h", "uvicorn.wire.reply"}
