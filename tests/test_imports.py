"""The layering: imports go one way, and threads, tasks and sockets stay in their rooms."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import uvicorn

ROOT = Path(uvicorn.__file__).parent
MODULES = {
    ".".join(("uvicorn", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}

# From the bottom up: a module imports from its own layer and from those below.
LAYERS = [
    ["errors", "messages", "websocket_messages", "origins"],
    ["settings", "setting_types", "websocket_settings", "protocols.flow", "compatibility"],
    ["protocols.reply", "protocols.encoder", "protocols.head", "protocols.intake", "protocols.proxy",
     "protocols.request_line", "protocols.parser", "protocols.websocket_reply", "protocols.websocket_codec"],
    ["bridge"],
    ["interfaces"],
    ["routing", "router", "routes", "patterns", "mistakes", "channels1"],
    ["protocols.http", "protocols.pipeline", "protocols.exchange", "protocols.body", "protocols.watch",
     "protocols.service", "protocols.websocket", "protocols.websocket_handshake", "protocols.websocket_inbound",
     "protocols.websocket_watch"],
    ["server", "listener", "peers", "reporting", "loading", "lifecycle"],
    ["worker"],
    ["workers"],
    ["cli"],
    ["__main__"],
]
PUBLIC = "uvicorn"  # the package itself gathers the public names
SANS_IO = ["messages", "protocols.reply", "protocols.encoder", "protocols.head", "protocols.intake",
           "protocols.request_line", "protocols.parser", "protocols.proxy", "protocols.flow", "websocket_messages",
           "origins", "protocols.websocket_reply", "protocols.websocket_codec"]  # fmt: skip
THREADS = ("threading", "concurrent.futures", "concurrent", "janus", "queue", "_thread", "multiprocessing")
IO = ("asyncio", "socket", "ssl", "select", "selectors", "uvloop", *THREADS)


def is_type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(path):
    """Return the modules that a file imports, anywhere in it, but for `if TYPE_CHECKING`."""
    found = set()
    todo = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif is_type_checking(node):
            todo.extend(node.orelse)
            continue
        todo.extend(ast.iter_child_nodes(node))
    return found


def layer_of(module):
    name = module.removeprefix("uvicorn.")
    for number, layer in enumerate(LAYERS):
        if any(name == entry or name.startswith(f"{entry}.") for entry in layer):
            return number
    return None


IMPORTS = {module: imports_of(path) for module, path in MODULES.items()}
PACKAGES = (PUBLIC, "uvicorn.protocols", "uvicorn.bridge", "uvicorn.interfaces")
OURS = [module for module in MODULES if module not in PACKAGES]


@pytest.mark.parametrize("module", OURS)
def test_every_module_has_a_layer(module):
    assert layer_of(module) is not None


@pytest.mark.parametrize("module", OURS)
def test_a_module_imports_from_its_own_layer_and_those_below(module):
    own = layer_of(module)
    above = [name for name in IMPORTS[module] if name in OURS and layer_of(name) > own]
    assert above == []


@pytest.mark.parametrize("module", [module for module in OURS if not module.startswith("uvicorn.bridge.")])
def test_only_the_bridge_knows_threads(module):
    assert IMPORTS[module].isdisjoint(THREADS)


@pytest.mark.parametrize("name", SANS_IO)
def test_the_grammar_knows_no_loop_thread_or_socket(name):
    assert IMPORTS[f"uvicorn.{name}"].isdisjoint(IO)


def test_httptools_is_known_in_one_file():
    assert [module for module, names in IMPORTS.items() if "httptools" in names] == ["uvicorn.protocols.parser"]


def test_websockets_is_known_in_one_file():
    knowing = [module for module, names in IMPORTS.items() if any(name.startswith("websockets") for name in names)]
    assert knowing == ["uvicorn.protocols.websocket_codec"]


def test_janus_is_known_in_one_file():
    assert [module for module, names in IMPORTS.items() if "janus" in names] == ["uvicorn.bridge.inbox"]


def test_the_bridge_knows_only_the_grammar_of_replies_of_the_protocols():
    protocols = {
        name
        for module in OURS if module.startswith("uvicorn.bridge.")
        for name in IMPORTS[module] if name in OURS and name.startswith("uvicorn.protocols.")
    }  # fmt: skip
    assert protocols == {"uvicorn.protocols.reply", "uvicorn.protocols.websocket_reply"}


def test_an_application_can_import_the_package_without_the_worker():
    assert not any("worker" in name for name in _top_level_imports(MODULES[PUBLIC]))


def _top_level_imports(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]


def test_the_walker_sees_what_it_must_see(tmp_path):
    path = tmp_path / "example.py"
    path.write_text(
        "import a\nfrom b.c import d\nif TYPE_CHECKING:\n    import hidden\nelse:\n    import e\n"
        "def f():\n    import g.h\n",
        encoding="utf-8",
    )
    assert imports_of(path) == {"a", "b.c", "b.c.d", "e", "g.h"}
