"""Our settings for what `uvicorn.run` and the other package's command line can say, and Gunicorn's settings cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from uvicorn.command.setting_types import OurSetting, on_or_off, seconds, whole

__all__ = ["INTERFACE_SETTINGS"]


def texts(name: str, check: Callable[[str], str] = str) -> Callable[[Any], list[str]]:
    """Return a validator for some texts: a list, or one text in which white space stands between them."""

    def validate(value: Any) -> list[str]:
        if value is None:
            return []
        found = value.split() if isinstance(value, str) else value
        if not isinstance(found, Iterable) or not all(isinstance(text, str) for text in found):
            raise ValueError(f"{name} must be a list of texts, not {value!r}")
        return [check(text) for text in found]

    return validate


def header_fields(value: Any) -> list[str]:
    """Validate fields of headers: a list of "Name:Value"; one text is one field.

    Raises: ValueError.
    """
    fields: list[str] = texts("headers")([value] if isinstance(value, str) else value)
    for field in fields:
        name, colon, content = field.partition(":")
        is_token = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if not colon or not is_token or not (content.isascii() and content.isprintable()):
            raise ValueError(f"headers must be printable, as Name:Value, not {field!r}")
    return fields


def text_or_none(value: Any) -> str | None:
    """Validate a text that may be missing."""
    return None if value is None else str(value)


def yes_no_or_auto(value: Any) -> bool | None:
    """Validate a switch that may be left to the terminal. Raises: ValueError."""
    return None if value in (None, "auto") else on_or_off("use_colors")(value)


class ProxyHeaders(OurSetting):
    is_switch = True
    name = "proxy_headers"
    cli: ClassVar = ["--proxy-headers"]
    validator = on_or_off("proxy_headers")
    default = False
    desc = """\
        Take the client's address and the scheme from what a trusted proxy says (``forwarded_allow_ips``).

        On by default in ``uvicorn.run`` and the ``uvicorn`` command, off under plain ``gunicorn``.
        """


class DateHeader(OurSetting):
    is_switch = True
    name = "date_header"
    cli: ClassVar = ["--date-header"]
    validator = on_or_off("date_header")
    default = True
    desc = """\
        Send a ``date`` header with each response.
        """


class UseColors(OurSetting):
    is_switch = True
    name = "use_colors"
    cli: ClassVar = ["--use-colors"]
    validator = yes_no_or_auto
    default = None
    desc = """\
        Colour the log; by default where it is written to a terminal.
        """


class DefaultHeaders(OurSetting):
    name = "headers"
    cli: ClassVar = ["--header"]
    meta = "NAME:VALUE"
    action = "append"
    validator = header_fields
    default: ClassVar[list[str]] = []
    desc = """\
        A header that each response gets; the option may be given several times.

        ``server`` takes the place of ``server_header``. In ``UVICORN_HEADERS`` several have blanks between them.
        """

    @classmethod
    def from_text(cls, text: str) -> Any:
        """Return the fields with blanks between them, or the one that has blanks in its value."""
        words = text.split()
        return words if all(word.find(":", 1, -1) > 0 for word in words) else text


class LimitConcurrency(OurSetting):
    name = "limit_concurrency"
    cli: ClassVar = ["--limit-concurrency"]
    meta = "INT"
    type = int
    validator = whole("limit_concurrency", "connections")
    default = 0
    desc = """\
        Open connections, per worker, past which requests are answered with 503; 0, the default, for no limit.

        ``worker_connections`` is the limit past which connections wait to be accepted.
        """


class LoopFactory(OurSetting):
    name = "loop_factory"
    cli: ClassVar = ["--loop"]
    meta = "NAME"
    validator = str
    default = ""
    desc = """\
        The event loop: ``auto``, ``uvloop``, ``asyncio``, or ``module:factory``; by default what ``asgi_loop`` says.
        """


class ReloadDirs(OurSetting):
    name = "reload_dirs"
    cli: ClassVar = ["--reload-dir"]
    meta = "PATH"
    action = "append"
    validator = texts("reload_dirs")
    default: ClassVar[list[str]] = []
    desc = """\
        A folder that is watched with ``--reload``, instead of the current one; the option may be given several times.
        """


class ReloadIncludes(OurSetting):
    name = "reload_includes"
    cli: ClassVar = ["--reload-include"]
    meta = "GLOB"
    action = "append"
    validator = texts("reload_includes")
    default: ClassVar[list[str]] = []
    desc = """\
        Files that are watched with ``--reload`` besides Python's; the option may be given several times.
        """


class ReloadExcludes(OurSetting):
    name = "reload_excludes"
    cli: ClassVar = ["--reload-exclude"]
    meta = "GLOB"
    action = "append"
    validator = texts("reload_excludes")
    default: ClassVar[list[str]] = []
    desc = """\
        Files and folders that are not watched with ``--reload``; the option may be given several times.
        """


class ReloadDelay(OurSetting):
    name = "reload_delay"
    cli: ClassVar = ["--reload-delay"]
    meta = "SECONDS"
    type = float
    validator = seconds("reload_delay")
    default = 0.25
    desc = """\
        Seconds between two looks at the files with ``--reload``, where the system does not tell of changes itself.
        """


class KeyfilePassword(OurSetting):
    name = "keyfile_password"
    cli: ClassVar = ["--ssl-keyfile-password"]
    meta = "TEXT"
    validator = text_or_none
    default = None
    desc = """\
        The password of the TLS key (``keyfile``).
        """


INTERFACE_SETTINGS = (
    ProxyHeaders, DateHeader, UseColors, DefaultHeaders, LimitConcurrency, LoopFactory,
    ReloadDirs, ReloadIncludes, ReloadExcludes, ReloadDelay, KeyfilePassword,
)  # fmt: skip
