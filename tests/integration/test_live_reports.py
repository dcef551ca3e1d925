"""What Gunicorn's hooks, access log and statsd see."""

import json
import re
import signal
import socket

import pytest
from processes import COMMANDS, PATIENCE, PATIENT_MASTER, SHORT_DRAIN, eventually

HOOKS = """
import json, threading

def told(name, **more):
    with open("told.txt", "a") as file:
        file.write(json.dumps({"hook": name, "thread": threading.current_thread().name, **more}) + "\\n")

def pre_request(worker, req):
    told("pre_request", pid=worker.pid, method=req.method, uri=req.uri, path=req.path, query=req.query,
         version=req.version, header=dict(req.headers).get("X-TEST"))

def post_request(worker, req, environ, resp):
    told("post_request", uri=req.uri, status=resp.status, sent=resp.sent, pid=worker.pid,
         environ={name: environ[name] for name in ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR")})

def on_starting(server): told("on_starting")
def when_ready(server): told("when_ready")
def pre_fork(server, worker): told("pre_fork")
def post_fork(server, worker): told("post_fork")
def post_worker_init(worker): told("post_worker_init", booted=worker.booted)
def worker_int(worker): told("worker_int", pid=worker.pid)
def worker_abort(worker): told("worker_abort", pid=worker.pid)
def worker_exit(server, worker): told("worker_exit", pid=worker.pid)
def child_exit(server, worker): told("child_exit")
def on_exit(server): told("on_exit")
"""


def told(server, hook=None):
    """Return what the hooks wrote, without the request that looked whether the server is ready."""
    path = server.folder / "told.txt"
    lines = [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if hook in (None, line["hook"]) and line.get("uri") not in ("/ready", "/state")]


def told_about(server, uri, count=2):
    def lines():
        found = [line for line in told(server) if line.get("uri") == uri]
        return found if len(found) >= count else None

    return eventually(lines, f"{count} hooks for {uri}")


@pytest.fixture(scope="module")
def hooked(serve_module):
    return serve_module("--threads", "2", config=HOOKS)


@pytest.mark.parametrize(("side", "thread"), [("sync", "uvicorn-consumer-"), ("async", "MainThread")])
def test_request_hooks_run_once_each_where_the_consumer_runs(hooked, side, thread):
    uri = f"/{side}/hello?once=1"
    hooked.get(uri, headers={"X-Test": "value"})

    before, after = told_about(hooked, uri)
    assert (before["hook"], after["hook"]) == ("pre_request", "post_request")
    assert before["thread"].startswith(thread)
    assert after["thread"] == before["thread"]
    assert before["pid"] == after["pid"] == hooked.worker()
    assert (before["method"], before["path"], before["query"]) == ("GET", f"/{side}/hello", "once=1")
    assert (before["version"], before["header"]) == ([1, 1], "value")
    assert (after["status"], after["sent"]) == ("200 OK", len("hello from the loop"))
    assert after["environ"] == {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": f"/{side}/hello",
        "QUERY_STRING": "once=1",
        "REMOTE_ADDR": "127.0.0.1",
    }


@pytest.mark.parametrize("side", ["sync", "async"])
@pytest.mark.parametrize(
    ("path", "status"),
    [("fail?a", "500 Internal Server Error"), ("drop?a", "500 Internal Server Error"), ("later?a", "200 OK")],
)
def test_post_request_is_called_for_every_answer(hooked, side, path, status):
    hooked.get(f"/{side}/{path}")

    [_, after] = told_about(hooked, f"/{side}/{path}")
    assert after["status"] == status


@pytest.mark.parametrize("side", ["sync", "async"])
def test_post_request_is_called_when_the_client_leaves_a_stream(hooked, side):
    uri = f"/{side}/stream?chunks=1000000&hooks=1"
    with hooked.raw() as raw:
        raw.get(uri).receive(size=1000)

    [_, after] = told_about(hooked, uri)
    assert after["status"] == "200 OK"
    assert after["sent"] > 0


def test_a_pre_request_hook_that_raises_is_answered_with_500(serve):
    server = serve(config="def pre_request(worker, req):\n    assert 'bad' not in req.path, 'a bad path'\n")

    with server.client() as client:
        assert client.get("/async/hello").status_code == client.get("/sync/hello").status_code == 200
        for side in ("sync", "async"):
            assert client.get(f"/{side}/bad-reply").status_code == 500
    assert server.wait_for_log("AssertionError: a bad path", 2).count("AssertionError: a bad path") == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_the_hooks_of_a_life_are_called_in_their_order(serve, command):
    server = serve(command=command, config=HOOKS)
    server.get("/sync/hello")
    told_about(server, "/sync/hello")
    server.stop()

    names = [line["hook"] for line in told(server)]
    assert names == [
        "on_starting",
        "when_ready",
        "pre_fork",
        "post_fork",
        "post_worker_init",
        "pre_request",
        "post_request",
        "worker_exit",
        "child_exit",
        "on_exit",
    ]


def test_worker_int_is_called_on_a_quick_stop(serve):
    server = serve(config=HOOKS)
    pid = server.worker()
    server.signal(signal.SIGINT)
    assert server.wait() == 0

    assert [line["pid"] for line in told(server, "worker_int")] == [pid]
    assert [line["pid"] for line in told(server, "worker_exit")] == [pid]


def test_worker_abort_and_worker_exit_are_called_when_the_loop_is_blocked(serve):
    server = serve("--timeout", "2", config=PATIENT_MASTER + HOOKS)
    pid = server.worker()

    with server.raw() as raw:
        raw.get("/async/block-the-loop")
        server.wait_for_log("the loop is blocked")
        (server.folder / "may-abort").touch()
        eventually(lambda: told(server, "worker_abort"), "worker_abort")
        eventually(lambda: told(server, "worker_exit"), "worker_exit")

    assert told(server, "worker_abort")[0]["pid"] == told(server, "worker_exit")[0]["pid"] == pid


def test_worker_exit_is_called_though_a_thread_is_stuck(serve):
    server = serve(config=SHORT_DRAIN + HOOKS)

    with server.raw() as raw:
        raw.get("/sync/never-return")
        eventually(lambda: server.state()["holding"], "the thread to be stuck")
        server.stop()

    assert len(told(server, "worker_exit")) == 1
    assert [line["hook"] for line in told(server)][-1] == "on_exit"


# ---- the access log ----

ATOMS = {
    "h": "h", "m": "m", "U": "U", "q": "q", "H": "H", "s": "s", "B": "B", "b": "b", "D": "D", "L": "L", "f": "f",
    "a": "a", "p": "p", "u": "u", "in": "{x-test}i", "out": "{content-type}o", "mode": "{consumer.mode}e",
    "name": "{consumer.name}e",
}  # fmt: skip
FORMAT = "|".join(f"%({atom})s" for atom in ATOMS.values())


@pytest.fixture(scope="module")
def logged(serve_module):
    return serve_module(
        "--access-logfile",
        "access.txt",
        "--access-logformat",
        FORMAT,
        "--threads",
        "2",
        "--asgi-disconnect-grace-period",
        "0",
    )


def line_about(server, query, method="GET"):
    """Return the line of the request with this query, by the names of its atoms."""

    def find():
        text = (server.folder / "access.txt").read_text()
        for line in text[: text.rfind("\n") + 1].splitlines():  # complete ones
            values = dict(zip(ATOMS, line.split("|"), strict=True))
            if (values["m"], values["q"]) == (method, query):
                return values
        return None

    return eventually(find, f"a line with {query}")


@pytest.mark.parametrize(("side", "mode"), [("sync", "pool"), ("async", "loop")])
def test_the_access_log_has_every_atom(logged, side, mode):
    headers = {"X-Test": "value", "Referer": "http://before/", "User-Agent": "a client"}
    logged.get(f"/{side}/slow?seconds=0.201&atoms={side}", headers=headers, auth=("user", "secret"))

    line = line_about(logged, f"seconds=0.201&atoms={side}")
    assert (line["h"], line["m"], line["U"], line["H"]) == ("127.0.0.1", "GET", f"/{side}/slow", "HTTP/1.1")
    assert (line["s"], line["B"], line["b"]) == ("200", "17", "17")
    assert int(line["D"]) >= 200_000  # timers of loops know milliseconds, and count from when the turn began
    assert int(line["L"].replace(".", "")) == int(line["D"])  # the same, in seconds
    assert (line["f"], line["a"], line["in"], line["out"]) == ("http://before/", "a client", "value", "text/plain")
    assert line["mode"] == mode
    assert line["name"] == "live_consumers.slow" + ("_async" if side == "async" else "")
    assert re.fullmatch(r"<\d+>", line["p"])
    assert line["u"] == "user"


@pytest.mark.parametrize("side", ["sync", "async"])
@pytest.mark.parametrize("shape", ["", "&length=1"])
def test_the_access_log_counts_the_content_of_a_stream_without_its_framing(logged, side, shape):
    query = f"chunks=10&size=1000&count={side}{shape}"
    logged.get(f"/{side}/stream?{query}")

    assert line_about(logged, query)["B"] == "10000"


@pytest.mark.parametrize(
    ("path", "status"), [("/nowhere", "404"), ("/sync/fail", "500"), ("/async/drop", "500"), ("/status", "500")]
)
def test_the_access_log_has_the_server_s_own_answers(logged, path, status):
    query = f"own={path}"
    logged.get(f"{path}?{query}")

    assert line_about(logged, query)["s"] == status


def test_a_request_that_is_not_one_has_a_line_too(logged):
    with logged.raw() as raw:
        raw.send(b"nonsense\r\n\r\n").receive()

    line = line_about(logged, "", method="-")
    assert line["s"] == "400"


@pytest.mark.parametrize("side", ["sync", "async"])
def test_a_client_that_leaves_before_the_answer_is_499(logged, side):
    query = f"name=left-{side}"
    with logged.raw() as raw:
        raw.get(f"/{side}/hold?{query}")
        eventually(lambda: logged.state()["holding"].get(f"left-{side}"), "the consumer to run")
        raw.reset()

    line = line_about(logged, query)
    logged.get(f"/release?{query}")
    assert (line["s"], line["B"]) == ("499", "0")


@pytest.mark.parametrize("side", ["sync", "async"])
def test_a_client_that_leaves_a_stream_keeps_its_status_and_its_bytes(logged, side):
    query = f"chunks=1000000&left={side}"
    with logged.raw() as raw:
        raw.get(f"/{side}/stream?{query}").receive(size=200_000)
        raw.reset()

    line = line_about(logged, query)
    assert line["s"] == "200"
    assert int(line["B"]) >= 131072


# ---- statsd ----


@pytest.mark.parametrize("args", [(), ("--access-logfile", "access.txt")], ids=["access log off", "access log on"])
def test_statsd_counts_every_request(serve, args):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(PATIENCE)
        server = serve("--statsd-host", f"127.0.0.1:{sink.getsockname()[1]}", "--statsd-prefix", "ours", *args)
        for path in ("/sync/slow?seconds=0.1", "/async/hello", "/sync/fail", "/nowhere"):
            server.get(path)
        got = []
        while sum(line.startswith("ours.gunicorn.request.status.") for line in got) < 5:  # the last one of each request
            got += sink.recv(4096).decode().splitlines()

    names = [line.split(":")[0] for line in got]
    assert names.count("ours.gunicorn.requests") == 5  # with the one for readiness
    assert names.count("ours.gunicorn.request.status.404") == 2
    assert names.count("ours.gunicorn.request.status.200") == 2
    assert names.count("ours.gunicorn.request.status.500") == 1
    durations = [float(line.split(":")[1].split("|")[0]) for line in got if ".request.duration:" in line]
    assert max(durations) >= 100


def test_a_logger_class_of_the_user_sees_every_request(serve):
    config = """
from gunicorn.glogging import Logger

class Own(Logger):
    def access(self, resp, req, environ, request_time):
        self.error("seen %s %s %s %d", req.method, req.uri, resp.status, resp.sent)

logger_class = Own
"""
    server = serve(config=config)
    server.get("/sync/hello?mine")
    server.get("/async/hello?mine")

    server.wait_for_log("seen GET /sync/hello?mine 200 OK 19")
    server.wait_for_log("seen GET /async/hello?mine 200 OK 19")
