"""What a start imports: a plain server does without what it does not use, which is time and memory of every start."""

import json
import subprocess
import sys

import pytest

#: modules, with all that is below them
NOWHERE = (
    "anyio", "asgiref", "dataclasses", "django", "encodings.idna", "h2",
    "janus", "msgpack", "multiprocessing", "ngh2", "opentelemetry", "prometheus_client", "redis", "rich", "websockets",
    "yaml", "watchdog", "watchfiles",
    "uvicorn.applications.static", "uvicorn.applications.wsgi",
    "uvicorn.bridge.raw_socket", "uvicorn.channels1", "uvicorn.command.log_formats", "uvicorn.command.log_records",
    "uvicorn.command.reloading", "uvicorn.command.top",
    "uvicorn.connections.h2_connection", "uvicorn.connections.raw_socket", "uvicorn.connections.socket_connection",
    "uvicorn.layers.django_layer", "uvicorn.layers.program", "uvicorn.layers.redis_layer",
    "uvicorn.watching.request_ids", "uvicorn.watching.tracing", "uvicorn.watching.upstream", "uvicorn.wire.deflate",
    "uvicorn.wire.frames", "uvicorn.wire.h2_head", "uvicorn.wire.opening",
)  # fmt: skip
NOT_IN_PROCESS = (
    "argparse", "email.message", "gunicorn.arbiter", "gunicorn.config", "gunicorn.http", "gunicorn.sock",
    "gunicorn.util", "html", "importlib.metadata", "zipfile",
    "uvicorn.applications.failures", "uvicorn.command.arbiter", "uvicorn.command.known_settings",
    "uvicorn.command.tls", "uvicorn.command.worker", "uvicorn.layers.history_files", "uvicorn.watching.board",
    "uvicorn.watching.health", "uvicorn.watching.watching",
)  # fmt: skip

PROLOGUE = "import json, sys\nbefore = set(sys.modules)\n"
EPILOGUE = "\nprint(json.dumps(sorted(set(sys.modules) - before)))"
IN_PROCESS = """
import uvicorn

async def app(scope, receive, send): ...

class Once(uvicorn.Server):
    async def main_loop(self):
        assert self.started

Once(uvicorn.Config(app, port=0, log_level="critical")).run()
"""
COMMAND = """
import uvicorn.command.cli, uvicorn.command.worker
"""


def imported_by(code):
    """Return what a process of its own imports for this, beside what is in every process here."""
    words = [sys.executable, "-c", PROLOGUE + code + EPILOGUE]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


@pytest.mark.parametrize(("code", "spared"), [(IN_PROCESS, NOWHERE + NOT_IN_PROCESS), (COMMAND, NOWHERE)])
def test_a_plain_server_imports_nothing_that_it_does_not_use(code, spared):
    found = imported_by(code)
    assert "uvicorn.connections.connection" in found
    assert [name for name in found if name.startswith(tuple(f"{each}." for each in spared)) or name in spared] == []
