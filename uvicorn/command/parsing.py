"""The command line: Gunicorn's options, ours, and the other package's, in one parser."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from gunicorn import __version__ as gunicorn_version
from gunicorn.config import Config

from uvicorn import __version__, variant
from uvicorn.command import known_settings as _known_settings  # noqa: F401  # registers them with Gunicorn
from uvicorn.command.equivalents import equivalents
from uvicorn.command.help import help_text
from uvicorn.command.http2 import described_engine
from uvicorn.command.options import OPTIONS, Option, add_options, from_environment
from uvicorn.command.settings import OURS

__all__ = ["CommandConfig", "version_line"]


def version_line() -> str:
    """Return what `--version` says. It names this project: the other package has the same name."""
    return (
        f"uvicorn {__version__} (gunicorn {gunicorn_version}; HTTP/2: {described_engine()}; for message consumers, "
        f"WSGI and ASGI, not the package of this name on PyPI), {variant.described()}"
    )


class CommandConfig(Config):  # type: ignore[misc]  # Gunicorn has no types
    """Gunicorn's configuration, with the parser of our command.

    Attributes:
        uvicorn_own: what the other package's options say that is no setting: parameter -> value.
        uvicorn_unset: settings that are to have no value.
        uvicorn_warnings: sentences for the log, about options without an effect.
    """

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        super().__init__(usage, prog)
        self.uvicorn_own: dict[str, Any] = {}
        self.uvicorn_unset: list[str] = []
        self.uvicorn_warnings: list[str] = []

    def parser(self) -> argparse.ArgumentParser:
        """Return the parser. Called by Gunicorn."""
        return _Parser(self)


class _Parser(argparse.ArgumentParser):
    def __init__(self, cfg: CommandConfig) -> None:
        super().__init__(prog=cfg.prog, usage=cfg.usage, add_help=False)
        self._cfg = cfg
        self.add_argument("args", nargs="*", help=argparse.SUPPRESS)
        self.add_argument("-h", "--help", action="store_true", default=argparse.SUPPRESS)
        self.add_argument("--help-all", action="store_true", default=argparse.SUPPRESS)
        self.add_argument(
            "-v", "--version", action="store_true", default=argparse.SUPPRESS,
            help="Show the versions, and whether the hot modules are compiled.",
        )  # fmt: skip
        for name in sorted(cfg.settings, key=lambda name: cfg.settings[name].order):
            cfg.settings[name].add_option(self)
        add_options(self._add)

    def _add(self, option: Option, arguments: dict[str, Any]) -> None:
        text = option.text or f"The same as {self._cfg.settings[option.instead].cli[-1]}."
        self.add_argument(option.flag, help=text, **arguments)

    def format_help(self) -> str:
        """Return the short help."""
        return self._help(is_complete=False)

    def _help(self, is_complete: bool) -> str:
        usage = (self.usage or "").replace("%(prog)s", self.prog)
        ours = {setting.name for setting in OURS}
        return help_text(usage, self._actions, ours.__contains__, is_complete=is_complete)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Parse, and turn the other package's options into settings. A mistake ends the command."""
        found = super().parse_args(args, namespace)
        for name, is_complete in (("help", False), ("help_all", True)):
            if getattr(found, name, False):
                self._print_message(self._help(is_complete), sys.stdout)
                self.exit()
        if getattr(found, "version", False):  # made when it is asked for: it imports the engine of HTTP/2
            self._print_message(f"{version_line()}\n", sys.stdout)
            self.exit()
        self._take_text_for_application(found)
        self._translate(found)
        return found

    def _take_text_for_application(self, found: Any) -> None:
        """`--server-header app:app`: a switch there, and a text here. What looks like an application is one."""
        text = found.server_header
        if not found.args and text and (":" in text or text.startswith("/")) and " " not in text:
            found.args, found.server_header = [text], None

    def _translate(self, found: Any) -> None:
        given = {}
        for option in OPTIONS:
            value = vars(found).pop(f"their_{option.param}", None)
            if value is not None:
                given[option.param] = value
        if "host" in given or "port" in given:
            try:
                around = from_environment(os.environ)
            except ValueError as error:
                self.error(str(error))
            for param in {"host", "port"} & set(around) - set(given):
                given[param] = around[param]
        for param in ("factory", "env_file"):
            if param in given:  # the command line is parsed before GUNICORN_CMD_ARGS
                self._cfg.uvicorn_own.setdefault(param, given[param])
        if found.loglevel == "trace":
            found.loglevel = "debug"
        if found.forwarded_allow_ips is not None:  # names of hosts have no effect, and are told, as from Python
            peers = equivalents({"forwarded_allow_ips": found.forwarded_allow_ips})
            found.forwarded_allow_ips = peers.settings["forwarded_allow_ips"]
            self._cfg.uvicorn_warnings += peers.warnings
        try:
            equals = equivalents(given)
        except ValueError as error:
            self.error(str(error))
        for name, value in equals.settings.items():
            before = getattr(found, name, None)
            if before is not None and before != value:
                flags = self._cfg.settings[name].cli
                theirs = ", ".join(option.flag for option in OPTIONS if _comes_to(option, name, given))
                self.error(f"{theirs} and {flags[-1]} say the same thing, and say it differently: give one of them")
            if value is None:
                self._cfg.uvicorn_unset.append(name)
            setattr(found, name, value)
        self._cfg.uvicorn_warnings += equals.warnings


def _comes_to(option: Option, setting: str, given: dict[str, Any]) -> bool:
    if option.param not in given:
        return False
    return setting in equivalents({option.param: given[option.param]}).settings
