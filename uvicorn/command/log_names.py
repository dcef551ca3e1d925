"""The names of the presets of `log_format`, apart from what they are (`log_formats.py`), which few servers use."""

from __future__ import annotations

from typing import Final

__all__ = ["COLOUR", "FORMATS", "JSON", "TEXT"]

TEXT: Final = "text"
COLOUR: Final = "colour"
JSON: Final = "json"
FORMATS: Final = (TEXT, COLOUR, JSON)
