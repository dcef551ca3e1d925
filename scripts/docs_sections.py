"""How the documentation shows our docstrings: each of "Raises:", "Runs on:", "Blocks:" in a paragraph of its own.

In the source they stand in running text, one after the other. mkdocs.yml names this file as an extension of griffe,
which reads the docstrings.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

__all__ = ["Sections", "in_paragraphs"]

_WORDS = "Returns|Raises|Runs on|Blocks|Cancellation|Spec"
# In running text: what stands alone in its line is a section with entries below, and griffe's own.
_WORD = re.compile(rf"(?:^[ ]*|(?<=[.;]) +)({_WORDS}):(?=[ ]+\S)", re.MULTILINE)


def in_paragraphs(text: str) -> str:
    """Return a docstring in which each of these words begins a paragraph, in bold."""
    return _WORD.sub(lambda found: f"\n\n**{found[1]}:**", text)


class Sections(Extension):
    """Changes docstrings before they are parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """A class, a function, a module or an attribute has been read."""
        if obj.docstring is not None:
            obj.docstring.value = in_paragraphs(obj.docstring.value)
