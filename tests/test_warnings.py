"""Every warning and error that the bridge and the watch write is asserted by its text in a test."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("bridge", "watching")
LEVELS = ("warning", "error", "critical")
ENOUGH = 24  # characters of a text, by which it is known


def texts_of(room):
    """Yield the file and the text of each line that is written at these levels."""
    for path in sorted((ROOT / "uvicorn" / room).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                [text, *_] = [*node.args, None]
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    yield f"{room}/{path.name}", text.value


@pytest.fixture(scope="module")
def strings():
    """All strings of all tests, with regular expressions as the text that they match."""
    found = []
    for path in (ROOT / "tests").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        found += [
            node.value.replace("\\", "")
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
    return found


@pytest.mark.parametrize(("file", "text"), [each for room in ROOMS for each in texts_of(room)])
def test_a_warning_is_asserted_by_its_text(strings, file, text):
    piece = max(re.split(r"%[.\d]*[a-z]", text), key=len).strip()[:ENOUGH].strip()
    assert any(piece in each for each in strings), f"no test has {piece!r}, of {file}: {text!r}"
