"""`uvicorn.run` and the supervisors, as programs that people write call them."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from plain_http import get
from processes import PATIENCE, eventually

PROGRAM = """
import os, sys, threading
import uvicorn

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    text = f"{VERSION} {os.getpid()} {threading.current_thread().name} {scope['client'][0]}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})

VERSION = "one"

if __name__ == "__main__":
    print("pid", os.getpid(), flush=True)
    CALL
    print("after", os.getpid(), flush=True)
"""


class Program:
    """One that calls `uvicorn.run` or the like."""

    def __init__(self, folder, call):
        self.path = folder / "program.py"
        self.path.write_text(PROGRAM.replace("CALL", call))
        self.log_path = folder / "log.txt"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("UVICORN_")}
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(self.path)],
                cwd=folder,
                env={**environment, "PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def url(self):
        found = eventually(
            lambda: re.search(r"(?:running on|Listening at:) (http://[\d.:]+)", self.log()), lambda: self.log()
        )
        return found[1]

    def get(self, **arguments):
        url = self.url()

        def ask():
            try:
                return get(url, **arguments)
            except httpx.TransportError:
                return None

        return eventually(ask, lambda: self.log())

    def stop(self, number=signal.SIGINT):
        os.kill(self.process.pid, number)
        return self.process.wait(PATIENCE)


def test_one_worker_is_served_in_this_process_and_what_is_after_it_runs(tmp_path):
    with Program(tmp_path, "uvicorn.run(app, port=0)") as program:
        words = program.get(headers={"x-forwarded-for": "192.0.2.1"}).text.split()
        assert words == ["one", str(program.process.pid), "MainThread", "192.0.2.1"]
        assert program.stop() == 0
        assert f"after {program.process.pid}" in program.log()
        assert "Application startup complete." in program.log()
        assert '192.0.2.1:0 - "GET / HTTP/1.1" 200 OK' in program.log()


@pytest.mark.parametrize(("own", "meanwhile"), [("", 10000), ("gc.set_threshold(900, 5, 5)", 900)])
def test_the_collector_runs_seldom_meanwhile_unless_it_was_set_and_as_before_afterwards(tmp_path, own, meanwhile):
    code = f"""if True:
        import gc, os, signal, uvicorn
        async def app(scope, receive, send):
            print("meanwhile", gc.get_threshold()[0], flush=True)
            await receive()
            await send({{"type": "lifespan.startup.complete"}})
            os.kill(os.getpid(), signal.SIGINT)
            await receive()
            await send({{"type": "lifespan.shutdown.complete"}})
        {own}
        print("before", gc.get_threshold(), flush=True)
        uvicorn.run(app, port=0)
        print("before", gc.get_threshold(), flush=True)
        """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    before, during, after = done.stdout.splitlines()
    assert during == f"meanwhile {meanwhile}"
    assert after == before


def test_term_stops_it_and_is_what_it_ends_with(tmp_path):
    with Program(tmp_path, "uvicorn.run('program:app', port=0)") as program:
        assert program.get().status_code == 200
        assert program.stop(signal.SIGTERM) == -signal.SIGTERM
        assert "Finished server process" in program.log()


def test_several_workers_serve_under_the_master_and_what_is_after_it_runs_once(tmp_path):
    with Program(tmp_path, "uvicorn.run(app, port=0, workers=2)") as program:
        pids = set()

        def both_have_answered():
            pids.add(program.get().text.split()[1])
            return len(pids) == 2

        eventually(both_have_answered, lambda: f"answers of both: {pids}")
        assert str(program.process.pid) not in pids
        assert program.stop() == 0
        assert program.log().count("after ") == 1
        assert 'GET / HTTP/1.1" 200 OK' in program.log()


def test_reload_serves_the_new_code(tmp_path):
    with Program(tmp_path, "uvicorn.run('program:app', port=0, reload=True)") as program:
        assert program.get().text.startswith("one ")
        program.path.write_text(program.path.read_text().replace('"one"', '"two!"'))
        eventually(lambda: program.get().text.startswith("two! "), lambda: program.log())
        program.stop()


def test_reload_serves_the_new_code_of_a_module_that_was_imported_before(tmp_path):
    """`fastapi dev` looks into the module for the application, and its workers served what it had seen."""
    call = "import program; uvicorn.run('program:app', port=0, reload=True)"
    with Program(tmp_path, call) as program:
        assert program.get().text.startswith("one ")
        program.path.write_text(program.path.read_text().replace('"one"', '"two!"'))
        eventually(lambda: program.get().text.startswith("two! "), lambda: program.log())
        program.stop()


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        ("uvicorn.run('nowhere:app')", 1, "Error loading ASGI app. There is no module 'nowhere'"),
        ("uvicorn.run(app, reload=True)", 1, "as an import string"),
        ("uvicorn.run('program:nothing', port=0)", 1, "There is no 'nothing' in 'program'"),
    ],
)
def test_what_is_wrong_ends_it_with_one_line(tmp_path, call, code, words):
    with Program(tmp_path, call) as program:
        assert program.process.wait(PATIENCE) == code
        assert words in program.log()
        assert "Traceback" not in program.log()


SUPERVISED = (
    "config = uvicorn.Config('program:app', port=0, reload=True, reload_delay=0.05, workers=2);"
    "from uvicorn.supervisors import ChangeReload, Multiprocess;"
    "sock = config.bind_socket();"
)


def test_the_supervisor_that_reloads_serves_the_new_code(tmp_path):
    call = SUPERVISED + "ChangeReload(config, target=uvicorn.Server(config).run, sockets=[sock]).run()"
    with Program(tmp_path, call) as program:
        first = program.get().text.split()
        assert first[0] == "one"
        assert first[1] != str(program.process.pid)
        program.path.write_text(program.path.read_text().replace('"one"', '"two!"'))
        eventually(lambda: program.get().text.startswith("two! "), lambda: program.log())
        assert "Detected changes in 'program.py'. Reloading..." in program.log()
        assert program.stop(signal.SIGTERM) == 0
        assert "after" in program.log()


def test_the_supervisor_of_several_replaces_one_that_ends(tmp_path):
    call = SUPERVISED + "Multiprocess(config, sockets=[sock]).run()"
    with Program(tmp_path, call) as program:
        pid = int(program.get().text.split()[1])
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: f"Child process [{pid}] died" in program.log(), lambda: program.log())
        other = int(program.get().text.split()[1])
        assert other != pid
        assert program.stop(signal.SIGINT) == 0
        eventually(lambda: not Path(f"/proc/{other}").exists(), "the end of its processes")
