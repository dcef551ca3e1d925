"""Both commands, both kinds of consumers, and where settings come from."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from checking import check_config
from processes import COMMANDS, NEVER, PATIENCE, PYTHONPATH, eventually

import uvicorn

SINGLE = {
    "live_consumers:hello": b"hello from a thread",
    "live_consumers:hello_async": b"hello from the loop",
    "examples.hello:hello_world": b"Hello, world!\n",
    "examples.hello:hello_async": b"Hello, world!\n",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("app", SINGLE)
def test_either_command_serves_either_kind_of_consumer(serve, command, app):
    server = serve(app=app, command=command)

    response = server.get("/any/path")

    assert (response.status_code, response.content) == (200, SINGLE[app])
    assert response.headers["server"] == "uvicorn"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_list_of_routes_serves_both_kinds_side_by_side(serve, command):
    server = serve("--threads", "2", command=command)

    with server.client() as client:
        assert client.get("/sync/describe").json()["thread"].startswith("uvicorn-consumer-")
        assert client.get("/async/describe").json()["thread"] == "MainThread"
        assert client.get("/nowhere").status_code == 404


def test_the_example_of_both_kinds_serves(serve):
    server = serve(app="examples.mixed:routes")

    with server.client() as client:
        assert client.get("/").status_code == 200
        assert client.get("/primes?below=20").text == "2 3 5 7 11 13 17 19\n"
        assert client.post("/checksum", content=b"x" * 200_000).text.endswith("  200000 bytes\n")
        with client.stream("GET", "/rows.csv") as response:
            lines = response.iter_lines()
            assert [next(lines) for _ in range(3)] == ["n,square", "0,0", "1,1"]


def test_what_is_installed_is_served_here_and_not_the_source_beside_these_tests(tmp_path):
    """The compiled modules were in no server of the tests."""
    for code in ("import uvicorn; print(uvicorn.__file__)", "import examples.hello, uvicorn; print(uvicorn.__file__)"):
        words, env = [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": PYTHONPATH}
        assert subprocess.check_output(words, cwd=tmp_path, env=env, text=True).strip() == uvicorn.__file__


def test_the_version_is_one_line(tmp_path):
    words = [sys.executable, "-m", "uvicorn", "--version"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("uvicorn ")
    assert "gunicorn 27" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_threads_bounds_how_many_synchronous_consumers_run_at_once(serve, command):
    server = serve("--threads", "3", command=command)

    with ThreadPoolExecutor(6) as clients:
        answers = [clients.submit(server.get, "/sync/hold?name=bound") for _ in range(6)]
        eventually(lambda: server.state()["holding"].get("bound") == 3, "three running consumers")
        # The loop is free all the while, and the pool takes no more.
        assert server.state()["holding"] == {"bound": 3}
        pool = [name for name in server.state()["threads"] if name.startswith("uvicorn-consumer-")]
        assert len(pool) == 3
        server.get("/release?name=bound")
        assert [answer.result().status_code for answer in answers] == [200] * 6


def test_plain_gunicorn_warns_that_one_thread_serves_synchronous_consumers(serve):
    server = serve(command="gunicorn")

    assert "Synchronous consumers run one at a time, in one thread: use --threads for more" in server.log()


@pytest.mark.parametrize(
    ("command", "app", "args"),
    [
        ("gunicorn", "live_consumers:hello_async", ()),
        ("gunicorn", "live_consumers:hello", ("--threads", "2")),
        ("uvicorn", "live_consumers:hello", ()),
    ],
)
def test_no_warning_where_one_thread_is_no_problem(serve, command, app, args):
    server = serve(*args, app=app, command=command)

    assert "one at a time" not in server.log()


# A worker that gets no processor for a while says so.
NO_TIME_IS_NO_WARNING = f"""
from uvicorn.command import process_end

raw_env = ["UVICORN_LOOP_BLOCK_WARNING=0", "UVICORN_POOL_WAIT_WARNING=0", "UVICORN_SLOW_CONSUMER_WARNING=0"]
process_end._LAST_SECONDS = {NEVER}  # for threads that are about to end
"""


def test_a_usual_start_and_stop_warn_of_nothing(serve):
    server = serve(config=NO_TIME_IS_NO_WARNING)
    server.get("/sync/hello")
    server.stop()

    log = server.log()
    assert "Warning" not in log
    assert "[WARNING]" not in log
    assert "[ERROR]" not in log
    assert "Shutting down: Master" in log


@pytest.mark.parametrize("asgi_loop", ["uvloop", "asyncio"])
def test_either_loop_serves_both_kinds(serve, asgi_loop):
    server = serve("--asgi-loop", asgi_loop)

    with server.client() as client:
        assert client.get("/sync/hello").status_code == client.get("/async/hello").status_code == 200
        assert len(client.get("/sync/stream?chunks=40").content) == 40 * 65536
        assert client.post("/async/digest", content=b"x" * 300_000).json()[0] == 300_000


# ---- settings ----

BODY = b"x" * 200


def limit_of(server):
    """Return whether the server holds the limit of 100 bytes that the test set."""
    with server.client() as client:
        return client.post("/async/echo", content=BODY).status_code


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "place",
    [
        {"env": {"UVICORN_LIMIT_REQUEST_BODY": "100"}},
        {"config": "raw_env = ['UVICORN_LIMIT_REQUEST_BODY=100']"},
        {"config": "limit_request_body = 100"},
        {"config": "limit_request_body = 100", "env": {"UVICORN_LIMIT_REQUEST_BODY": "1000"}},
        {"config": "raw_env = ['UVICORN_LIMIT_REQUEST_BODY=100']", "env": {"UVICORN_LIMIT_REQUEST_BODY": "1000"}},
    ],
    ids=["environment", "raw_env", "config file", "config file first", "raw_env first"],
)
def test_a_setting_of_ours_comes_from(serve, command, place):
    assert limit_of(serve(command=command, **place)) == 413


def test_raw_env_on_the_command_line_of_plain_gunicorn(serve):
    assert limit_of(serve("-e", "UVICORN_LIMIT_REQUEST_BODY=100", command="gunicorn")) == 413


def test_the_command_line_wins_over_all_other_places(serve):
    server = serve(
        "--limit-request-body",
        "100",
        config="limit_request_body = 1000\nraw_env = ['UVICORN_LIMIT_REQUEST_BODY=1000']",
        env={"UVICORN_LIMIT_REQUEST_BODY": "1000"},
    )

    assert limit_of(server) == 413


def test_no_limit_is_the_default(serve):
    assert limit_of(serve()) == 200


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("UVICORN_QUEUE_SIZE", "many", "queue_size must be a number of requests, -1 or more, not 'many'"),
        ("UVICORN_BODY_TIMEOUT", "soon", "body_timeout must be a number of seconds, 0 or more, not 'soon'"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_its_place(serve, command, variable, value, sentence):
    server = serve(command=command, env={variable: value}, is_ready=False)

    server.wait_for_log(sentence)
    assert server.wait() != 0
    assert variable in server.log()
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--protocol", "uwsgi"), "protocol = 'uwsgi' cannot be served"),
        (("--http2-cleartext", "upgrade"), "http2_cleartext = 'upgrade' cannot be served"),
    ],
)
def test_a_protocol_that_is_not_served_is_refused_at_start(serve, command, args, sentence):
    server = serve(*args, command=command, is_ready=False)

    server.wait_for_log(sentence)
    assert server.wait() != 0
    assert "Traceback" not in server.log()


def test_a_setting_without_effect_is_named_at_start(serve):
    server = serve(config="http_parser = 'python'")

    assert "Setting http_parser has no effect with uvicorn.ASGIWorker" in server.log()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("app", ["live_consumers:hello", "live_consumers:router"])
def test_check_config_accepts_worker_and_application_without_a_word(tmp_path, command, app):
    done = check_config(tmp_path, command, app)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_plain_gunicorn_preloads_a_router(serve):
    server = serve("--preload", "--threads", "2", command="gunicorn", app="live_consumers:router")

    assert server.get("/sync/describe").json()["thread"].startswith("uvicorn-consumer-")
    assert server.get("/async/describe").json()["thread"] == "MainThread"


def test_preload_loads_the_application_once_for_all_workers(serve):
    server = serve("--preload", "--workers", "2")
    barrier = threading.Barrier(8)

    def ask(_):
        barrier.wait(PATIENCE)
        return server.get("/sync/describe").json()["pid"]

    with ThreadPoolExecutor(8) as clients:
        pids = set(clients.map(ask, range(8)))
    assert pids <= set(server.workers())
    eventually(lambda: len(server.workers()) == 2, "two workers")


def test_a_prefix_from_root_path_is_told_to_consumers(serve):
    server = serve("--root-path", "/mounted")

    assert json.loads(server.get("/sync/describe").content)["root_path"] == "/mounted"


# ---- what a start and a request say ----

LOUD = {"UVICORN_ACCESS_LOG": "true", "UVICORN_LOOP_BLOCK_WARNING": "0"}  # of requests nobody else speaks


def test_the_uvicorn_command_says_what_is_served_and_writes_a_line_for_each_request(serve):
    server = serve("--workers", "2", app="proxied_consumers:routes", env=LOUD)
    log = server.wait_for_log("2 workers, each with ")
    assert "/wsgi  WSGI application proxied_consumers.application, in threads" in log
    assert "/asgi  ASGI application proxied_consumers.asgi, on the event loop" in log
    assert log.count("workers, each with") == 1
    server.get("/asgi/x")
    server.wait_for_log('127.0.0.1 - "GET /asgi/x HTTP/1.1" 200 ')
    [line] = [line for line in server.log().splitlines() if "/asgi/x" in line]
    assert line.endswith(" ms, loop")


def test_the_line_of_a_request_can_be_switched_off(serve):
    server = serve("--no-access-log", env=LOUD)
    server.get("/sync/hello")
    server.stop()
    assert "/sync/hello" not in server.log()


def test_plain_gunicorn_writes_no_line_for_a_request(serve):
    server = serve(command="gunicorn", env=LOUD)
    server.get("/sync/hello")
    server.stop()
    assert "/sync/hello" not in server.log()
