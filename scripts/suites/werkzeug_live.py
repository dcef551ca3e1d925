"""Stand in for `tests/live_apps/run.py` of Werkzeug's suite: serve one of its applications by our command.

Run as `run.py NAME JSON`, JSON the arguments that the suite has for `werkzeug.serving.run_simple`.
"""

import json
import os
import sys
from importlib import import_module

from werkzeug.wrappers import Request, Response

from uvicorn import wsgi

HERE = os.path.dirname(os.path.abspath(__file__))


def load(name):
    """Return one of the applications of the suite."""
    application = import_module(f"{name}_app").app

    @Request.application
    def serve(request):
        return Response() if request.path == "/ensure" else Response.from_app(application, request.environ)

    return wsgi(serve)


def main(name, given):
    host = given.get("hostname", "127.0.0.1")
    bind = host.replace("unix://", "unix:") if host.startswith("unix://") else f"{host}:{given['port']}"
    words = ["--no-control-socket", "--bind", bind, "--pythonpath", HERE, "--threads", "8"]
    if "ssl_context" in given:
        files = given["ssl_context"]
        if not isinstance(files, list):
            from werkzeug.serving import make_ssl_devcert

            files = make_ssl_devcert("dev")
        words += ["--certfile", files[0], "--keyfile", files[1]]
    if given.get("use_reloader"):
        words += ["--reload", "--reload-engine", "poll"]
    os.execv(sys.executable, [sys.executable, "-m", "uvicorn", *words, f"run:load('{name}')"])


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
