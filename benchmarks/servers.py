"""Each server: its environment and its command; and a running one, pinned to a core, with its processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import processes
from benchmarks.checks import Request
from benchmarks.environments import CHECKOUT, Environments, Missing

__all__ = ["KINDS", "SERVER_CORE", "Contender", "Running", "WrongAnswer", "pinned", "running"]

SERVER_CORE = 0
_APPS = Path(__file__).resolve().parent / "apps"
_PATIENCE_SECONDS = 30.0
_BIND = "-b 127.0.0.1:{port}"
_GUNICORN = f"--no-control-socket --log-level warning --threads 40 --backlog 2048 {_BIND}"
_UVICORN = "uvicorn --loop uvloop --http httptools --no-access-log --log-level warning --backlog 2048 --port {port}"
_HYPERCORN = "hypercorn -k uvloop --log-level warning --backlog 2048 -b 127.0.0.1:{port} {app}"
_GRANIAN = "granian --log-level warning --backlog 2048 --http 1 --no-ws --host 127.0.0.1 --port {port}"


@dataclass(frozen=True)
class Kind:
    """A way to start a server. In `command`, {port} and {app} are filled in; `idle` lets it keep idle connections."""

    environment: str
    command: str
    idle: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    workers: str = ""  # the option for several


_OURS = Kind(
    "ours",
    f"python -m uvicorn {_GUNICORN} {{app}}",
    idle="--keep-alive 75 --worker-connections 10000",
    workers="--workers",
)
KINDS = {
    "ours": _OURS,
    # The worker as it would be without a governor; a version that has none ignores these.
    "ours, governor off": Kind(
        _OURS.environment,
        _OURS.command,
        _OURS.idle,
        {"UVICORN_GOVERNOR": "off", "UVICORN_SWITCH_INTERVAL": "0"},
    ),
    "ours, PROXY header": Kind("ours", f"python -m uvicorn --proxy-protocol auto {_GUNICORN} {{app}}", _OURS.idle),
    "ours, uncompiled": Kind(_OURS.environment, _OURS.command, _OURS.idle, {"UVICORN_PURE": "1"}, "--workers"),
    "ours, frameworks": Kind("ours-frameworks", _OURS.command),
    "ours, own threads": Kind("ours-frameworks", _OURS.command, variables={"UVICORN_FRAMEWORK_THREADS": "own"}),
    "uvicorn, frameworks": Kind("frameworks", f"{_UVICORN} {{app}}"),
    "granian, frameworks": Kind("frameworks", f"{_GRANIAN} --interface asgi --loop uvloop {{app}}"),
    "hypercorn, frameworks": Kind("frameworks", _HYPERCORN),
    "ours, django": Kind("ours-django", _OURS.command),
    "uvicorn, django": Kind("django", f"{_UVICORN} {{app}}"),
    "gunicorn gthread, django": Kind("django", f"gunicorn -k gthread {_GUNICORN} {{app}}"),
    "uvicorn": Kind("peers", f"{_UVICORN} {{app}}", idle="--timeout-keep-alive 75", workers="--workers"),
    "granian asgi": Kind(
        "peers",
        f"{_GRANIAN} --interface asgi --loop uvloop {{app}}",
        idle="--backpressure 10000",
        workers="--workers",
    ),
    "granian rsgi": Kind("peers", f"{_GRANIAN} --interface rsgi --loop uvloop {{app}}", workers="--workers"),
    "granian wsgi": Kind(
        "peers",
        f"{_GRANIAN} --interface wsgi --blocking-threads 40 {{app}}",
        idle="--backpressure 10000",
        workers="--workers",
    ),
    "gunicorn asgi": Kind(
        "peers",
        f"gunicorn -k asgi {_GUNICORN} {{app}}",
        idle="--keep-alive 75 --worker-connections 10000",
        workers="--workers",
    ),
    "gunicorn gthread": Kind(
        "peers",
        f"gunicorn -k gthread {_GUNICORN} {{app}}",
        idle="--keep-alive 75 --worker-connections 10000",
        workers="--workers",
    ),
    "hypercorn": Kind(
        "peers",
        _HYPERCORN,
        idle="--keep-alive 75",
        workers="--workers",
    ),
    "fastpysgi": Kind("fastpysgi", "python run_fastpysgi.py {app} {port}"),
    "bjoern": Kind("bjoern", "python run_bjoern.py {app} {port}"),
    "meinheld": Kind("meinheld", "python run_meinheld.py {app} {port}"),
    "constant bytes": Kind("ours", "python constant.py {port}"),
}


class WrongAnswer(Exception):
    """A server does not answer, or not as it should; the text has what it printed."""


@dataclass(frozen=True)
class Contender:
    """One row of a scenario.

    Attributes:
        name: how tables call it.
        kind: which of `KINDS`.
        app: what it serves: module:name in `apps`, or what its command takes.
        side: "async", "sync", or "limit" for what is no server.
        needs: options of `route` that our package must know.
        checkout: where our package is imported from, for a comparison of two versions.
    """

    name: str
    kind: str
    app: str
    side: str
    needs: tuple[str, ...] = ()
    checkout: Path = CHECKOUT

    def command(self, port: int | str, is_idle: bool = False, workers: int = 1) -> list[str]:
        """Return what starts it, without the folder of its environment."""
        kind = KINDS[self.kind]
        words = kind.command.split()
        if workers > 1:
            words[-1:-1] = [kind.workers, str(workers)]
        if is_idle and kind.idle:
            words[-1:-1] = kind.idle.split()
        return [word.format(port=port, app=self.app) for word in words]

    def shown_command(self, is_idle: bool = False, workers: int = 1) -> str:
        """Return the command as a result tells it."""
        variables = [f"{name}={value}" for name, value in KINDS[self.kind].variables.items()]
        return " ".join([*variables, *pinned(workers), *self.command("PORT", is_idle, workers)])


def pinned(workers: int) -> list[str]:
    """Return what a command begins with, so that one worker keeps to its core and several do not."""
    cores = str(SERVER_CORE) if workers == 1 else f"0-{(os.cpu_count() or 1) - 1}"
    return ["taskset", "-c", cores]


@dataclass
class Running:
    """A server that runs."""

    contender: Contender
    port: int
    pid: int
    started_seconds: float = 0.0  # from its start to its first right answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def resident_bytes(self) -> int:
        """Return the memory of all its processes: what they share is counted once for each."""
        return sum(map(processes.resident_bytes, processes.tree(self.pid)))

    def rest(self) -> None:
        """Wait until it has nothing left to do: what one measurement left behind must not slow the next."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        spent = self.cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(0.1)
            before, spent = spent, self.cpu_seconds()
            if spent - before < 0.02:
                return
        raise WrongAnswer(f"{self.contender.name} does not come to rest")

    def cpu_seconds(self) -> float:
        """Return the processor time that all its processes have used."""
        return sum(map(processes.cpu_seconds, processes.tree(self.pid)))


@contextlib.contextmanager
def running(
    contender: Contender,
    environments: Environments,
    checks: tuple[Request, ...],
    is_idle: bool = False,
    workers: int = 1,
) -> Iterator[Running]:
    """Run a server, and check its answer to each of these requests, many times over.

    Several workers are not pinned: they and the load share the cores.

    Raises: Missing, WrongAnswer.
    """
    path = environments.get(KINDS[contender.kind].environment)
    _check_options(contender, path)
    port = _free_port()
    words = contender.command(port, is_idle, workers)
    with tempfile.TemporaryFile() as log:
        started_at = time.monotonic()
        process = subprocess.Popen(
            [*pinned(workers), str(path / "bin" / words[0]), *words[1:]],
            cwd=_APPS,
            env=_variables(contender, path),
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that an interrupt of ours does not reach it before we do
        )
        try:
            _await_answer(process, port, checks[0])
            seconds = time.monotonic() - started_at
            for request in checks:
                request.check(port, times=5)
            yield Running(contender, port, process.pid, seconds)
        except (OSError, AssertionError, EOFError) as error:
            log.seek(0)
            printed = log.read().decode(errors="replace")[-2000:]
            raise WrongAnswer(f"{contender.name}: {error}\n{printed}") from error
        finally:
            _end(process)


def _check_options(contender: Contender, path: Path) -> None:
    """Raise Missing if the consumers use an option that our package does not have (yet)."""
    if contender.needs:
        code = "import inspect, uvicorn; print(*inspect.signature(uvicorn.route).parameters)"
        command = [str(path / "bin/python"), "-c", code]
        known = subprocess.run(
            command, env=_variables(contender, path), cwd=_APPS, check=True, capture_output=True, text=True
        ).stdout.split()
        missing = [name for name in contender.needs if name not in known]
        if missing:
            raise Missing(f"uvicorn.route() has no option {' and no option '.join(missing)}")


def _variables(contender: Contender, path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UVICORN_", "GRANIAN_"))}
    python_path = f"{_APPS}{os.pathsep}{contender.checkout}" if path.name.startswith("ours") else str(_APPS)
    return {
        **kept,
        "PYTHONPATH": python_path,
        "PYTHONDONTWRITEBYTECODE": "",
        "PATH": f"{path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        **KINDS[contender.kind].variables,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _await_answer(process: subprocess.Popen[bytes], port: int, request: Request) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError):
            request.check(port)
            return
        time.sleep(0.005)
    raise OSError(f"ended with {process.returncode}" if process.poll() is not None else "does not answer")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and the processes that it has started: its session is its own."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        print(f"{process.pid} does not stop: it is killed", file=sys.stderr)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
