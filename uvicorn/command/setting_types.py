"""What our settings are made of: their base class, and the checks of their values. Knows no Gunicorn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

__all__ = [
    "OurSetting", "address", "folder", "header_value", "on_or_off", "one_of", "seconds", "true_or_false", "url_path",
    "whole",
]  # fmt: skip

_TRUE: Final = ("1", "true", "t", "yes", "y", "on")
_FALSE: Final = ("0", "false", "f", "no", "n", "off")


def true_or_false(text: str) -> bool:
    """Read a switch, in the words of the other package. Raises: ValueError."""
    word = text.strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError(f"it must be true or false, not {text!r}")


def seconds(name: str) -> Callable[[Any], float]:
    """Return a validator for a number of seconds, 0 or more."""

    def check(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = -1.0
        if isinstance(value, bool) or not 0 <= number < 1e9:
            raise ValueError(f"{name} must be a number of seconds, 0 or more, not {value!r}")
        return number

    return check


def whole(name: str, unit: str, least: int = 0) -> Callable[[Any], int]:
    """Return a validator for a whole number."""

    def check(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, (int, str)) else least - 1
        except ValueError:
            number = least - 1
        if isinstance(value, bool) or number < least:
            raise ValueError(f"{name} must be a number of {unit}, {least} or more, not {value!r}")
        return number

    return check


def on_or_off(name: str) -> Callable[[Any], bool]:
    """Return a validator for a switch: a bool, or a word for one."""

    def check(value: Any) -> bool:
        try:
            if value is None or isinstance(value, bool):
                return bool(value)
            return true_or_false(value)
        except (AttributeError, ValueError):
            raise ValueError(f"{name} must be true or false, not {value!r}") from None

    return check


def one_of(name: str, *words: str) -> Callable[[Any], str]:
    """Return a validator for one of some words."""

    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"{name} must be {' or '.join(map(repr, words))}, not {value!r}")
        return str(value)

    return check


def address(name: str) -> Callable[[Any], str]:
    """Return a validator for "HOST:PORT", or "" for none."""

    def check(value: Any) -> str:
        if value in ("", None):
            return ""
        host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
        is_bare = ":" in host and not (host.startswith("[") and host.endswith("]"))
        if not colon or not host or is_bare or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"{name} must be HOST:PORT, an IPv6 address in brackets, or empty, not {value!r}")
        return str(value)

    return check


def url_path(name: str) -> Callable[[Any], str]:
    """Return a validator for the beginning of a path, or "" for none."""

    def check(value: Any) -> str:
        if value in ("", None):
            return ""
        if not isinstance(value, str) or not value.startswith("/") or not value.strip("/") or "?" in value:
            raise ValueError(f"{name} must begin with '/' and name something, or be empty, not {value!r}")
        return value.rstrip("/")

    return check


def folder(name: str) -> Callable[[Any], str]:
    """Return a validator for the absolute path of a directory, "auto" or "off"."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not (value in ("auto", "off") or value.startswith("/")):
            raise ValueError(f"{name} must be 'auto', 'off' or an absolute path, not {value!r}")
        return value

    return check


def header_value(name: str) -> Callable[[Any], str]:
    """Return a validator for the value of a header field."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or not value.isprintable() or not value.isascii():
            raise ValueError(f"{name} must be printable ASCII text, not {value!r}")
        return value

    return check


class OurSetting:
    """One of our settings: its name, options, default and check. `known_settings.py` makes it one of Gunicorn's.

    The attributes are those of Gunicorn's settings. `validator` checks a value, and raises ValueError.

    Attributes:
        cli: its options.
        is_switch: it has two options, `--name` and `--no-name`.
        opposite: the option that takes it away, and what is said of that, if there is one.
    """

    name: ClassVar = ""
    section: ClassVar = "Consumers"
    cli: ClassVar[list[str] | None] = None
    validator: ClassVar[Any] = staticmethod(str)
    type: ClassVar[Any] = None
    meta: ClassVar[str | None] = None
    action: ClassVar[str | None] = None
    nargs: ClassVar[str | None] = None
    const: ClassVar[Any] = None
    default: ClassVar[Any] = None
    desc: ClassVar = ""
    is_switch: ClassVar = False
    opposite: ClassVar[tuple[str, str] | None] = None

    @classmethod
    def from_text(cls, text: str) -> Any:
        """Return what an environment variable says."""
        return text
