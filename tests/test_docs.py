"""The documentation: what it shows is compiled, run or parsed, and what it names is there.

A comment before a block of Python says what it does, where it is a whole application:

    <!-- answers: consumer GET /tea: You asked for /tea -->     it is served, and asked
    <!-- socket: chat /: hello: you said hello -->              a message is sent, and one comes back

All other blocks are compiled; those that only define something are run, with a stand-in for each name that the page has
left to its reader.
"""

import ast
import builtins
import configparser
import contextlib
import importlib
import importlib.util
import inspect
import io
import re
import shlex
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx
import pytest
import yaml
from gunicorn.config import Config as GunicornConfig
from gunicorn.config import make_settings
from patience import PATIENCE_SECONDS as PATIENCE
from plain_http import PLAIN
from websockets.sync.client import connect

import uvicorn
from uvicorn.applications.mistakes import Mistaken
from uvicorn.command import questions
from uvicorn.command.cli import CommandConfig  # with it all our settings are known to Gunicorn

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[a-z]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_MARKS = re.compile(r"((?:^<!-- [a-z]+: .* -->\n)*)\Z", re.MULTILINE)
_ANSWERS = re.compile(r"<!-- answers: (\w+) ([A-Z]+) (\S+): (.*) -->")
_SOCKET = re.compile(r"<!-- socket: (\w+) (\S+): (.*): (.*) -->")


@dataclass
class Block:
    page: str
    line: int
    language: str
    text: str
    marks: list[str] = field(default_factory=list)

    def __str__(self):
        return f"{self.page}:{self.line}"


def blocks_of(path):
    """Return the blocks of code of a page, those in lists too, each with the comments before it."""
    page = path.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(page):
        text = "".join(line.removeprefix(match["indent"]) for line in match["text"].splitlines(keepends=True))
        marks = _MARKS.search(page[: match.start()])[1].splitlines()
        line = page.count("\n", 0, match.start()) + 1
        found.append(Block(path.name, line, match["language"], text, marks))
    return found


BLOCKS = [block for path in PAGES for block in blocks_of(path)]


def written_in(*languages):
    return pytest.mark.parametrize("block", [each for each in BLOCKS if each.language in languages], ids=str)


# ---- Python ----


def compiled(block):
    """Compile a block; "await" may stand outside of a function."""
    return compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def parsed(block):
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return compile(block.text, str(block), "exec", flags=flags, dont_inherit=True)


def free_names(tree):
    """Return the names that a block uses and does not make."""
    made = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    made |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            made.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            made |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return used - made - {*dir(builtins)}


def imported_modules(tree):
    """Return the first parts of the names of all modules that a block imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


_DEFINES = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.If)


def only_defines(block):
    """Whether a block does nothing but define, of modules that are there."""
    tree = parsed(block)
    if not all(isinstance(node, _DEFINES) for node in tree.body):
        return False
    return all(name in sys.modules or importlib.util.find_spec(name) for name in imported_modules(tree))


def stand_in(message=None, second=None, **groups):
    """What stands for a consumer, an application or a function of the reader's."""
    return stand_in


def run(block):
    """Run a block, and return its names."""
    names = {"__name__": "documented", "uvicorn": uvicorn, **{name: getattr(uvicorn, name) for name in uvicorn.__all__}}
    tree = parsed(block)
    names |= {name: stand_in for name in free_names(tree) if name not in names}
    exec(compiled(block), names)
    return names


PYTHON = [block for block in BLOCKS if block.language == "python"]


@written_in("python")
def test_a_block_of_python_is_compiled_and_finds_what_it_takes_of_the_package(block):
    compiled(block)
    tree = parsed(block)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "uvicorn":
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "uvicorn":
            assert hasattr(uvicorn, node.attr) or importlib.util.find_spec(f"uvicorn.{node.attr}")


@pytest.mark.parametrize("block", [block for block in PYTHON if only_defines(block)], ids=str)
def test_a_block_that_defines_something_runs_and_its_routes_are_right(block):
    names = run(block)
    wrong = [entry for entry in names.get("routes", ()) if isinstance(entry, Mistaken)]
    mistakes = [str(mistake) for entry in wrong for mistake in entry.mistakes]
    not_here = ("there is no module 'project", "/build is not there", "/dist is not there")  # of the reader's
    assert [mistake for mistake in mistakes if not any(each in mistake for each in not_here)] == []


def marked(pattern):
    return [(block, *found.groups()) for block in PYTHON for mark in block.marks if (found := pattern.fullmatch(mark))]


@pytest.fixture(scope="module")
def documented_server():
    """The server for tests that a page shows."""
    (block,) = (block for block in PYTHON if "def running(self)" in block.text)
    return run(block)["Server"]


@pytest.fixture
def address_of(documented_server):
    """Serve an application for one test, and say where."""
    contexts = []

    def serve(application):
        server = documented_server(uvicorn.Config(application, port=0, log_config=None, access_log=False))
        contexts.append(server.running())
        contexts[-1].__enter__()
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    yield serve
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.mark.parametrize(("block", "name", "method", "path", "text"), marked(_ANSWERS), ids=str)
def test_a_documented_application_answers(block, name, method, path, text, address_of):
    address = address_of(run(block)[name])
    assert text in httpx.request(method, f"http://{address}{path}", **PLAIN).text


@pytest.mark.parametrize(("block", "name", "path", "sent", "expected"), marked(_SOCKET), ids=str)
def test_a_documented_socket_answers(block, name, path, sent, expected, address_of):
    with connect(f"ws://{address_of(run(block)[name])}{path}", open_timeout=PATIENCE) as socket:
        socket.send(sent)
        assert socket.recv(timeout=PATIENCE) == expected


def test_each_mark_is_understood():
    marks = [mark for path in PAGES for mark in re.findall(r"^<!-- (?:answers|socket).* -->$", path.read_text(), re.M)]
    assert len(marks) == len(marked(_ANSWERS)) + len(marked(_SOCKET))


# ---- the command line ----


def parser_of(command):
    return CommandConfig(prog="uvicorn").parser() if command == "uvicorn" else GunicornConfig(prog="gunicorn").parser()


@cache
def options_of(command):
    """Return the options of a command: `uvicorn`, `gunicorn`, or one that asks a running master."""
    if command in questions.COMMANDS:
        with contextlib.redirect_stdout(io.StringIO()) as shown, pytest.raises(SystemExit):
            questions.run([command, "--help"])
        return set(re.findall(r"--[a-z-]+", shown.getvalue()))
    return {option for action in parser_of(command)._actions for option in action.option_strings}


def commands_in(text):
    """Return the words of each command in some lines of a shell: without prompts, comments and variables before it."""
    for line in text.replace("\\\n", " ").splitlines():
        for part in re.split(r" && | \| ", line.removeprefix("$ ")):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_0-9]+=.*", words[0]):
                del words[0]
            if words:
                yield words


def check(words):
    """Parse a command as the program itself does, and look for the files that it names."""
    command, *arguments = words
    if command == "uvicorn" and arguments and arguments[0] in questions.COMMANDS:
        assert {word for word in arguments if word.startswith("--")} <= options_of(arguments[0])
    elif command in ("uvicorn", "gunicorn"):
        given = {word.partition("=")[0] for word in arguments if word.startswith("--")}
        assert given - options_of(command) == set()  # a parser takes a part of a name, too
        if "--version" not in arguments:  # which ends the program
            parser_of(command).parse_args(arguments)
        for word in arguments:
            module = (word.partition("=")[2] if word.startswith("/") else word).partition(":")[0]
            if module.startswith("examples."):
                assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists()
    elif command.startswith(("scripts/", ".ci/")):
        assert (ROOT / command).exists()
    elif command == "pip":
        extras = {extra for word in arguments for extra in re.findall(r"(?:^|uvicorn|\.)\[([a-z0-9,]+)\]", word)}
        known = configparser.ConfigParser()
        known.read(ROOT / "setup.cfg")
        assert {each for extra in extras for each in extra.split(",")} <= {*known["options.extras_require"]}


@written_in("bash", "console", "shell")
def test_a_block_of_shell_has_options_that_are_there(block):
    lines = block.text
    if block.language == "console":
        lines = "\n".join(line for line in lines.splitlines() if line.startswith("$ "))
    for words in commands_in(lines):
        check(words)


INLINE = [
    (path.name, " ".join(span.split()))
    for path in PAGES
    for span in re.findall(r"(?<!`)`((?:uvicorn|gunicorn) [^`]+)`(?!`)", path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("page", "span"), INLINE)
def test_a_command_in_running_text_has_options_that_are_there(page, span):
    for words in commands_in(span.replace("...", "")):
        check(words)


OF_OTHER_PROGRAMS = {"contributing.md", "benchmarks.md", "changelog.md", "install.md", "from-daphne.md"}


@pytest.mark.parametrize(
    "page", [path for path in PAGES if path.name not in OF_OTHER_PROGRAMS], ids=lambda path: path.name
)
def test_an_option_in_running_text_is_one_of_the_command(page):
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    named = set(re.findall(r"(?<![`\w])`(--[a-z0-9-]+)", text))
    known = {"--short", "--write", "--time", "--force-reinstall", "--find-links"}  # of scripts, docker, pip
    known = known.union(*(options_of(command) for command in ("uvicorn", "gunicorn", *questions.COMMANDS)))
    assert named - known == set()


# ---- other languages ----


@written_in("toml")
def test_a_block_of_toml_is_read(block):
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    assert tomllib.loads(block.text)


@written_in("yaml")
def test_a_block_of_yaml_is_read(block):
    assert yaml.safe_load(block.text)


@written_in("ini")
def test_a_block_of_a_unit_is_read(block):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(block.text)
    assert parser.sections()
    for start in (parser[section]["ExecStart"] for section in parser if "ExecStart" in parser[section]):
        path, *arguments = shlex.split(start)
        check([Path(path).name, *arguments])


@written_in("dockerfile")
def test_a_block_of_a_dockerfile_has_instructions_only(block):
    for line in block.text.replace("\\\n", " ").splitlines():
        assert line.split()[0] in {"FROM", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE", "CMD", "ENV"}
        if line.startswith("CMD "):
            check(ast.literal_eval(line.removeprefix("CMD ")))


@written_in("mermaid")
def test_a_drawing_is_of_a_known_kind_and_its_brackets_match(block):
    assert block.text.split()[0] in {"flowchart", "sequenceDiagram", "stateDiagram-v2"}
    for opening, closing in ("()", "[]", "{}"):
        assert block.text.count(opening) == block.text.count(closing)
    assert block.text.count('"') % 2 == 0


def test_each_block_says_in_which_language_it_is():
    known = {"python", "bash", "console", "text", "toml", "ini", "yaml", "dockerfile", "nginx", "haproxy", "mermaid"}
    assert [str(block) for block in BLOCKS if block.language not in known] == []


# ---- pages, links, names ----


class _Loader(yaml.SafeLoader):
    """Reads mkdocs.yml without the functions that it names."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda loader, suffix, node: suffix)


def pages_in(nav):
    for entry in nav:
        for inside in entry.values():
            if isinstance(inside, list):
                yield from pages_in(inside)
            else:
                yield inside


def test_the_site_has_all_pages_in_its_groups():
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), _Loader)["nav"]
    assert [next(iter(group)) for group in nav] == ["Start", "Guides", "Reference", "Operations", "Inside"]
    assert sorted(pages_in(nav)) == sorted(path.name for path in DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_that_a_page_links_to_are_there(page):
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [each for each in targets if "://" not in each and not (page.parent / each).exists()] == []


def test_the_public_interface_is_documented_and_there():
    documented = re.findall(r"^::: ([\w.]+)$", (DOCS / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    for name in documented:
        parent, _, last = name.rpartition(".")
        found = importlib.import_module(name) if parent == "uvicorn" and last == "errors" else None
        found = found or getattr(importlib.import_module(parent), last)
        assert inspect.getdoc(found), name
    missing = {
        name
        for name in uvicorn.__all__
        if f"uvicorn.{name}" not in documented and not hasattr(importlib.import_module("uvicorn.errors"), name)
    }
    assert missing == {"ASGIWorker", "bridge"}  # a name for Gunicorn, and a module


def test_each_setting_of_ours_is_documented_with_its_default_and_its_options():
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    rows = {}
    for row in re.findall(r"^\| \[.*$", page, re.MULTILINE):
        _, names, _, default, _ = row.split("|")
        rows |= dict.fromkeys(re.findall(r"`([a-z0-9_]+)`", names), default.strip(" `").partition(":")[0])
    for name, setting in make_settings().items():
        if type(setting).__module__.startswith("uvicorn."):
            assert name in rows
            if isinstance(setting.default, (int, float)) and not isinstance(setting.default, bool):
                assert float(rows[name]) == setting.default, name
            assert any(f"`{option}" in page for option in setting.cli or ["`"]), name


def test_the_readme_has_its_two_commands():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert "    pip install . && uvicorn examples.hello:hello_world" in lines
    assert "    pip install .[test] && pytest" in lines  # .ci/run runs this line
    assert len(lines) < 150


def test_the_page_of_the_architecture_is_short_and_names_files_that_are_there():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert text.count("\n") < 200
    files = {path.name for folder in ("uvicorn", "tests") for path in (ROOT / folder).rglob("*.py")} | {"setup.py"}
    assert {Path(name).name for name in re.findall(r"[\w/]+\.py\b", text)} <= files
