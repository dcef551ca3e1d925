"""The `uvicorn` command: Gunicorn, with our worker class, our settings and our defaults."""

from __future__ import annotations

import sys
from typing import Any

from gunicorn import __version__ as gunicorn_version
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.errors import AppImportError

from uvicorn import __version__, variant
from uvicorn.applications.loading import is_site, load_site, make_application
from uvicorn.command import questions
from uvicorn.command.http2 import DefaultProtocols, described_engine
from uvicorn.command.settings import DefaultThreads, Settings, apply_environment
from uvicorn.command.threads import default_threads

__all__ = ["ConsumerApplication", "main"]

_APP_LOAD_ERROR = 4  # gunicorn.arbiter.Arbiter.APP_LOAD_ERROR


class ConsumerApplication(WSGIApplication):  # type: ignore[misc]  # Gunicorn has no types
    """A Gunicorn application whose worker is ours."""

    def init(self, parser: Any, opts: Any, args: list[str]) -> None:
        """Take the application's name, or several "/prefix=module:name"."""
        if len(args) > 1 and is_site(args[0]):
            args = [" ".join(args)]
        super().init(parser, opts, args)

    def load_default_config(self) -> None:
        """Set our defaults: they give way to config file, environment and command line."""
        super().load_default_config()
        for name, default in (("worker_class", "uvicorn.ASGIWorker"), ("threads", default_threads())):
            self.cfg.set(name, default)
            self.cfg.settings[name].default = default  # what --help shows
        proxy_headers = self.cfg.settings["proxy_headers"]
        proxy_headers.default = proxy_headers.value = True  # not as if somebody had given it
        self.cfg.settings["threads"].value = DefaultThreads(default_threads())
        self.cfg.settings["http_protocols"].value = DefaultProtocols(["h1"])

    def load_config(self) -> None:
        """Read what Gunicorn reads, and our environment variables."""
        super().load_config()
        apply_environment(self.cfg)

    def load(self) -> Any:
        """Load the application.

        Raises: AppImportError; where Gunicorn would print a traceback (--check-config), exits instead.
        """
        interface = Settings.from_config(self.cfg).interface
        try:
            if self.cfg.paste is not None:
                return make_application(super().load(), self.app_uri, interface)
            return load_site(self.app_uri, interface)
        except AppImportError as error:
            if not (self.cfg.check_config or self.cfg.print_config):
                raise
            sys.exit(_failure(error))

    def run(self) -> None:
        """Serve; a wrong name with --preload ends with one sentence."""
        try:
            super().run()
        except AppImportError as error:
            sys.exit(_failure(error))


def main() -> None:
    """Run the `uvicorn` command. An application in a module called `status` or `top` is `status:application`."""
    if sys.argv[1:] in (["--version"], ["-v"]):
        variants = f"{variant.described()}; HTTP/2: {described_engine()}"
        print(f"uvicorn {__version__} (gunicorn {gunicorn_version}), {variants}")
        return
    if len(sys.argv) > 1 and sys.argv[1] in questions.COMMANDS:
        sys.exit(questions.run(sys.argv[1:]))
    usage = "%(prog)s [OPTIONS] module:application | /prefix=module:application ..."
    ConsumerApplication(usage, prog="uvicorn").run()


def _failure(error: Exception) -> int:
    print(f"\nError: {error}\n", file=sys.stderr)
    return _APP_LOAD_ERROR
