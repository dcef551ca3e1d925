"""Every warning and error that the bridge and the watch write is asserted by its text in a test."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = ("bridge", "watching")
LEVELS = ("warning", "error", "critical")
ENOUGH = 24  # characters of a text, by which it is known


def texts():
    """Yield the file and the text of each line that is written at these levels."""
    for room in ROOMS:
        for path in sorted((ROOT / "uvicorn" / room).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                    [text, *_] = [*node.args, None]
                    if isinstance(text, ast.Constant) and isinstance(text.value, str):
                        yield f"{room}/{path.name}", text.value


def source_of_tests():
    """Return the text of all tests; strings that are written in parts are one, and regular expressions are plain."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")]
    return re.sub(r'"\s+[rfb]*"', "", "\n".join(sources)).replace("\\", "")


def test_each_warning_is_asserted_by_its_text():
    source, found = source_of_tests(), [*texts()]
    assert len(found) > 20
    for file, text in found:
        piece = max(re.split(r"%[.\d]*[a-z]", text), key=len).strip()[:ENOUGH].strip()
        assert piece in source, f"no test has {piece!r}, of {file}: {text!r}"
