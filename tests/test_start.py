"""What a start imports: a plain server does without what it does not use, which is time and memory of every start."""

import json
import subprocess
import sys

import pytest

#: modules, with all that is below them
NOWHERE = (
    "anyio", "asgiref", "csv", "dataclasses", "django", "email.message", "encodings.idna", "h2", "importlib.metadata",
    "janus", "msgpack", "multiprocessing", "ngh2", "opentelemetry", "prometheus_client", "redis", "rich", "websockets",
    "yaml", "zipfile", "watchdog", "watchfiles",
    "uvicorn.applications.static", "uvicorn.applications.wsgi",
    "uvicorn.bridge.raw_socket", "uvicorn.channels1", "uvicorn.command.log_formats", "uvicorn.command.log_records",
    "uvicorn.command.reloading", "uvicorn.command.top",
    "uvicorn.connections.h2_connection", "uvicorn.connections.raw_socket", "uvicorn.connections.socket_connection",
    "uvicorn.layers.django_layer", "uvicorn.layers.program", "uvicorn.layers.redis_layer",
    "uvicorn.watching.request_ids", "uvicorn.watching.tracing", "uvicorn.watching.upstream", "uvicorn.wire.deflate",
    "uvicorn.wire.frames", "uvicorn.wire.h2_head", "uvicorn.wire.opening",
)  # fmt: skip
NOT_IN_PROCESS = (
    "gunicorn.arbiter", "gunicorn.http", "gunicorn.sock", "uvicorn.applications.failures", "uvicorn.command.arbiter",
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


def test_what_gunicorn_was_spared_is_there_when_it_asks_and_for_others_at_once():
    code = """
import uvicorn.command, gunicorn.util
assert "importlib.metadata" not in sys.modules
assert gunicorn.util.importlib_metadata.version("gunicorn")
import importlib.metadata as real
assert real.version is gunicorn.util.importlib_metadata.version
from importlib.metadata import PackageNotFoundError
"""
    assert "importlib.metadata" in imported_by(code)


def test_who_imports_it_while_gunicorn_is_imported_gets_the_module_itself():
    code = """
import builtins
def spy(name, *args, **kwargs):
    if name == "pwd" and "importlib.metadata" in sys.modules:
        builtins.__import__ = kept
        from importlib.metadata import version
        import importlib.metadata._meta
        assert version("gunicorn") and importlib.metadata.__file__
    return kept(name, *args, **kwargs)
kept, builtins.__import__ = builtins.__import__, spy
import uvicorn.command
import importlib.metadata, gunicorn.util
assert importlib.metadata.__spec__ is not None
assert importlib.metadata.version is gunicorn.util.importlib_metadata.version
"""
    assert "gunicorn.util" in imported_by(code)


@pytest.mark.parametrize("module", ["abc", "metadata", "resources"])
def test_applications_that_only_import_importlib_find_in_it_what_gunicorn_brings(module):
    code = f"""
import uvicorn.command, importlib
assert not hasattr(importlib, "nothing")
found = importlib.{module}
assert found is sys.modules["importlib.{module}"]
from importlib import machinery, {module}
assert {module} is found
"""
    assert f"importlib.{module}" in imported_by(code)
