"""`manage.py runserver`: this server instead of Django's own, which knows no sockets and no consumers."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from django.core.management.commands.runserver import Command as DjangoCommand

__all__ = ["Command"]

_APP = "channels.asgi:get_channel_layer"  # that of CHANNEL_LAYERS, whatever the project's asgi.py is called


class Command(DjangoCommand):  # type: ignore[misc]  # Django has no types
    """Becomes `uvicorn --channels1 --reload`, at the address and port that Django's own takes."""

    help = "Starts this server for development, with sockets and consumers; --noasgi starts Django's own."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Take what Django's own takes, and what that of Channels 1 took."""
        super().add_arguments(parser)
        parser.add_argument("--noasgi", action="store_false", dest="use_asgi", help="Start Django's own server.")
        for name in ("--noworker", "--nostatic", "--insecure"):
            parser.add_argument(name, action="store_true", help="Has no effect.")
        for name in ("--http_timeout", "--websocket_handshake_timeout"):
            parser.add_argument(name, type=int, help="Has no effect: see the server's settings.")

    def run(self, **options: Any) -> None:
        """Become the server; the settings and the path go along."""
        if not options["use_asgi"]:
            super().run(**options)
            return
        host = self.addr.strip("[]")
        home = next(path for path in sys.path if path != options["pythonpath"])  # Django has put that one first
        words = [sys.executable, "-m", "uvicorn", "--channels1", "--factory", _APP, "--app-dir", home]
        words += ["--host", host, "--port", str(self.port)]
        if options["use_reloader"]:
            words += ["--reload", "--reload-dir", home]
        if not options["use_threading"]:
            words += ["--threads", "1"]
        if options["pythonpath"]:
            paths = options["pythonpath"], os.environ.get("PYTHONPATH")
            os.environ["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        sys.stdout.flush()
        os.execv(words[0], words)
