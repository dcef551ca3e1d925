"""The `uvicorn` command: Gunicorn, with our worker class, our settings and our defaults."""

from __future__ import annotations

import os
import re
import sys
from typing import Any, Final

from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.errors import AppImportError, ConfigError

from uvicorn.applications.loading import is_site, load_site, make_application
from uvicorn.command import questions
from uvicorn.command.arbiter import OrderlyApplication
from uvicorn.command.console import ACCESS_FORMAT, DefaultAccessLog, settle_access
from uvicorn.command.environment_file import load_environment
from uvicorn.command.equivalents import equivalents
from uvicorn.command.holders import exit_if_taken
from uvicorn.command.http2 import DefaultProtocols
from uvicorn.command.known_settings import KnownSetting
from uvicorn.command.legacy import prepare
from uvicorn.command.log_names import TEXT
from uvicorn.command.log_presets import dressed
from uvicorn.command.named import check_file, check_given
from uvicorn.command.options import from_environment
from uvicorn.command.parsing import CommandConfig, version_line
from uvicorn.command.settings import DefaultThreads, Settings, apply_environment, environment_name
from uvicorn.command.standard_log import StandardLog
from uvicorn.command.threads import default_threads

__all__ = ["ConsumerApplication", "main"]

_LONGEST_SOCKET_PATH: Final = 104  # of sun_path on some systems
_APP_LOAD_ERROR = 4  # gunicorn.arbiter.Arbiter.APP_LOAD_ERROR
#: settings of Gunicorn's -> the variables that it takes their defaults from
_READ_BY_GUNICORN: Final = {"workers": "WEB_CONCURRENCY", "forwarded_allow_ips": "FORWARDED_ALLOW_IPS"}


class _DefaultWorkers(int):
    """A number of workers that nobody has set."""


class ConsumerApplication(WSGIApplication, OrderlyApplication):  # type: ignore[misc]  # Gunicorn has no types
    """A Gunicorn application whose worker is ours, and its master."""

    def init(self, parser: Any, opts: Any, args: list[str]) -> None:
        """Take the application's name, or several "/prefix=module:name"."""
        if len(args) > 1 and is_site(args[0]):
            args = [" ".join(args)]
        super().init(parser, opts, args)

    def load_default_config(self) -> None:
        """Set our defaults: they give way to config file, environment and command line."""
        super().load_default_config()
        self.cfg = CommandConfig(self.usage, prog=self.prog)
        for name, default in (("worker_class", "uvicorn.ASGIWorker"), ("threads", default_threads())):
            self.cfg.set(name, default)
            self.cfg.settings[name].default = default  # what --help shows
        for name, value in (
            ("proxy_headers", True),
            ("accesslog", DefaultAccessLog("-")),
            ("access_log_format", ACCESS_FORMAT),
        ):
            setting = self.cfg.settings[name]
            setting.default = setting.value = value  # not as if somebody had given it
        self.cfg.settings["threads"].value = DefaultThreads(default_threads())
        self.cfg.settings["http_protocols"].value = DefaultProtocols(["h1"])
        self.cfg.settings["workers"].value = _DefaultWorkers(self.cfg.workers)
        self._unset = {name: self.cfg.settings[name].value for name in _READ_BY_GUNICORN}
        self._own = self._take_environment()
        peers = {"forwarded_allow_ips": os.environ.get("FORWARDED_ALLOW_IPS", "")}
        self.cfg.uvicorn_warnings += equivalents(peers).warnings

    def load_config(self) -> None:
        """Read what Gunicorn reads, our environment variables, and what the other package's options say."""
        super().load_config()
        cfg = self.cfg
        for name in cfg.uvicorn_unset:
            cfg.set(name, None)
        own = {**self._own, **cfg.uvicorn_own}
        apply_environment(cfg)
        if cfg.only_channels:
            cfg.set("bind", [])  # a background worker serves no HTTP
        if own.get("env_file"):
            self._take_file(own["env_file"])
        if own.get("factory") and not self.app_uri.endswith(")"):
            self.app_uri += "()" if ":" in self.app_uri else ":application()"
        log_config = cfg.logconfig or own.get("log_config")
        check_given(cfg, log_config)
        if log_config and _is_for_standard_log(log_config):
            cfg.set("logconfig", None)
            options = {
                "log_config": log_config,
                "log_level": None if cfg.loglevel == "info" else cfg.loglevel,
                "access_log": own.get("access_log", True) and "accesslog" not in cfg.uvicorn_unset,
                "use_colors": Settings.from_config(cfg).use_colors,
            }
            cfg.set("logger_class", StandardLog.with_options(**options))
        elif cfg.log_format != TEXT or cfg.request_id:
            cfg.set("logger_class", dressed(cfg))
        settle_access(cfg)
        if cfg.control_socket == cfg.settings["control_socket"].default:
            cfg.set("control_socket", _own_control_socket(cfg))

    def _take_file(self, path: str) -> None:
        """Take environment variables from a file, and what they say of settings of Gunicorn's that nobody has given.

        At a HUP they are there already, and Gunicorn's defaults are those of its import.

        Raises: WrongValue if it cannot be read; ConfigError for a value that is not allowed.
        """
        check_file("env_file", path)
        load_environment(path)
        for name, variable in _READ_BY_GUNICORN.items():
            text = os.environ.get(variable)
            if text and self.cfg.settings[name].value is self._unset[name]:
                try:
                    self.cfg.set(name, text)
                except ValueError as error:
                    raise ConfigError(f"{variable} of env_file: {error}") from None

    def _take_environment(self) -> dict[str, Any]:
        """Have the other package's environment variables give way to config file and command line.

        Returns: what is no setting: parameter -> value.
        Raises: ConfigError for a value that is not allowed.
        """
        try:
            given = from_environment(os.environ)
            found = equivalents(given)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        if "workers" in given:
            self.cfg.set("workers", given["workers"])
        if "UVICORN_APP" in os.environ:
            self.cfg.set("wsgi_app", os.environ["UVICORN_APP"])
        for name, value in found.settings.items():
            if isinstance(self.cfg.settings[name], KnownSetting):  # read from its own variable, by and by
                text = str(value).lower() if isinstance(value, bool) else str(value)
                os.environ.setdefault(environment_name(name), text)
            else:
                self.cfg.set(name, value)
        self.cfg.uvicorn_warnings += found.warnings
        return {name: given[name] for name in ("factory", "env_file", "log_config", "access_log") if name in given}

    def load(self) -> Any:
        """Load the application.

        Raises: AppImportError; where Gunicorn would print a traceback (--check-config), exits instead.
        """
        interface = Settings.from_config(self.cfg).interface
        try:
            prepare(self.cfg)
            if self.cfg.paste is not None:
                return make_application(super().load(), self.app_uri, interface)
            return load_site(self.app_uri, interface)
        except AppImportError as error:
            if not (self.cfg.check_config or self.cfg.print_config):
                raise
            sys.exit(_failure(error))

    def run(self) -> None:
        """Serve; a wrong name with --preload ends with one sentence, and so does an address that is taken."""
        cfg = self.cfg
        if not (cfg.check_config or cfg.print_config):
            exit_if_taken(cfg)
        try:
            super().run()
        except AppImportError as error:
            sys.exit(_failure(error))


def main() -> None:
    """Run the `uvicorn` command. An application in a module called `status` or `top` is `status:application`."""
    if sys.argv[1:] in (["--version"], ["-v"]):
        print(version_line())
        return
    if len(sys.argv) > 1 and sys.argv[1] in questions.COMMANDS:
        sys.exit(questions.run(sys.argv[1:]))
    usage = "%(prog)s [OPTIONS] module:application | /prefix=module:application /static=./folder/ ..."
    ConsumerApplication(usage, prog="uvicorn").run()


def _failure(error: Exception) -> int:
    print(f"\nError: {error}\n", file=sys.stderr)
    return _APP_LOAD_ERROR


def _own_control_socket(cfg: Any) -> str:
    """Return a path beside Gunicorn's, named after the first address: two servers of one user have one each."""
    first = str(next(iter(cfg.settings["bind"].get()), ""))
    name = re.sub(r"[^A-Za-z0-9.]+", "-", first.removeprefix("unix:")).strip("-.")
    if name.endswith("-0") or not name:  # a port that the system chooses
        name = str(os.getpid())
    path = os.path.join(os.path.dirname(cfg.control_socket), f"uvicorn-{name}.ctl")
    return path if len(os.fsencode(path)) < _LONGEST_SOCKET_PATH else cfg.control_socket


def _is_for_standard_log(path: str) -> bool:
    """Whether a logging configuration is for the loggers of `uvicorn.run`, and not for Gunicorn's.

    A name that ends as the other package's do, or a text that names its loggers, tells.
    """
    if path.endswith((".json", ".yaml", ".yml")):
        return True
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return False  # Gunicorn says so
    return "uvicorn" in text and "gunicorn" not in text
