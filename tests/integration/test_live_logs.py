"""The log of a real server: ids of requests in every line, on both sides of the bridge, and the presets."""

import json
import subprocess
import sys
import time

import pytest
from processes import PATIENCE, eventually
from websockets.sync.client import connect

APP = "live_logs:routes"


def lines_of(server):
    """Return the lines of a log that is JSON, but for warnings of Python's, and for one that is not complete yet."""
    complete = [line for line in server.log().splitlines(keepends=True) if line.endswith("\n")]
    return [json.loads(line) for line in complete if line.startswith("{")]


def lines_about(server, request_id, count):
    def found():
        lines = [line for line in lines_of(server) if line.get("request_id") == request_id]
        return lines if len(lines) >= count else None

    return eventually(found, lambda: f"{count} lines of {request_id} in:\n{server.log()}")


@pytest.fixture(scope="module")
def logged(serve_module):
    words = ("--log-format", "json", "--request-id", "--access-log", "--threads", "4", "--slow-consumer-warning", "1")
    return serve_module(*words, app=APP)


SIDES = [
    ("/thread", ["thread", "loop below a thread", "asgiref's loop"]),
    ("/loop", ["loop", "task", "pool", "asyncio's thread", "asgiref's thread", "anyio's thread"]),
    ("/fastapi/sync", ["FastAPI's thread"]),
    ("/fastapi/async", ["FastAPI"]),
    ("/wsgi", ["WSGI"]),
]


@pytest.mark.parametrize(("path", "places"), SIDES)
def test_every_line_of_a_request_has_its_id_on_both_sides_of_the_bridge(logged, path, places):
    answer = logged.get(path)
    assert answer.status_code == 200
    lines = lines_about(logged, answer.headers["x-request-id"], len(places) + 1)
    assert [line["message"] for line in lines if line["logger"] == "app"] == [f"here: {place}" for place in places]
    [access] = [line for line in lines if line["logger"] == "gunicorn.access"]
    assert (access["path"], access["status"], access["method"]) == (path, 200, "GET")
    assert access["duration_ms"] > 0


def test_the_id_of_a_trusted_peer_is_taken_through_to_the_application(logged):
    answer = logged.get("/wsgi", headers={"x-request-id": "from-nginx-1"})
    assert answer.headers["x-request-id"] == "from-nginx-1"
    assert answer.text == "from-nginx-1"


def test_a_filter_of_the_released_package_hides_the_lines_of_health_checks(logged):
    hidden = logged.get("/health").headers["x-request-id"]
    lines_about(logged, logged.get("/ready").headers["x-request-id"], 1)
    assert [line for line in lines_of(logged) if line.get("request_id") == hidden] == []


def test_the_traceback_of_a_consumer_has_the_id(logged):
    answer = logged.get("/fails")
    assert answer.status_code == 500
    lines = lines_about(logged, answer.headers["x-request-id"], 2)
    [error] = [line for line in lines if line["level"] == "error"]
    assert error["message"] == "Error in live_logs.fails: GET /fails"
    assert error["exception"].endswith("ValueError: as told")


def test_what_a_request_sends_to_channels_is_logged_with_its_id(logged):
    request_id = logged.get("/sends").headers["x-request-id"]
    lines = lines_about(logged, request_id, 5)
    texts = {line["message"] for line in lines if line["logger"] != "gunicorn.access"}
    assert texts == {
        f"here: job in a thread of {request_id}",  # twice: sent by the request, and by its other job
        f"here: job on the loop of {request_id}",
        "Error in live_logs.job: a message of thread, delivery 1",
    }


def test_a_slow_consumer_is_told_with_the_id(logged):
    request_id = logged.get("/slow").headers["x-request-id"]
    eventually(lambda: f"GET /slow ({request_id})" in logged.log(), logged.log)


def test_each_message_of_a_socket_has_the_id_of_the_handshake(logged):
    url = logged.url.replace("http", "ws") + "/socket"
    with connect(url, open_timeout=PATIENCE, close_timeout=PATIENCE, proxy=None) as client:
        request_id = client.response.headers["x-request-id"]
        for _ in range(3):
            client.send("hello")
            assert client.recv(PATIENCE) == request_id
    lines = lines_about(logged, request_id, 5)
    told = [line["message"] for line in lines if line["logger"] == "app"]
    assert told == ["here: websocket.receive"] * 3 + ["here: websocket.disconnect"]
    assert [line["status"] for line in lines if line["logger"] == "gunicorn.access"] == [101]


def test_the_whole_log_is_json_from_its_first_line_on(logged):
    lines = [line for line in logged.log().splitlines() if "Warning" not in line and not line.startswith("  ")]
    assert json.loads(lines[0])["message"].startswith("Starting gunicorn")
    assert [line for line in lines if not line.startswith("{")] == []
    assert all(line["level"] == "info" for line in lines_of(logged) if line["logger"] == "gunicorn.access")


def test_the_time_before_us_is_in_the_access_log_and_among_the_numbers(serve):
    server = serve("--log-format", "json", "--access-log", "--request-start", app=APP)
    server.get("/ready", headers={"x-request-start": f"t={time.time() - 5:.3f}"})

    def told():
        return [line["upstream_ms"] for line in lines_of(server) if "upstream_ms" in line]

    [milliseconds] = eventually(told, server.log)
    assert milliseconds > 4900
    words = [sys.executable, "-m", "uvicorn", "status", "--json", "--pid", str(server.pid)]

    def numbers():
        found = json.loads(subprocess.check_output(words, cwd=server.folder, timeout=PATIENCE))
        return sum(found["workers"][0]["figures"]["upstream_seconds"][0][0][1:]) == 1

    eventually(numbers, "the histogram")


def test_plain_gunicorn_writes_json_and_ids_too(serve):
    config = "log_format = 'json'\nrequest_id = True\naccesslog = '-'\n"
    server = serve(command="gunicorn", app=APP, config=config)
    answer = server.get("/thread")
    assert len(lines_about(server, answer.headers["x-request-id"], 4)) == 4
    assert any(line["message"].startswith("Booting worker") for line in lines_of(server))
    server.get("/their-log")
    server.wait_for_log('"written to uvicorn.error"')


def test_text_has_ids_too(serve):
    server = serve("--request-id", "--access-log", app=APP)
    request_id = server.get("/fails").headers["x-request-id"]
    log = server.wait_for_log("/fails HTTP/1.1")
    assert f"[ERROR] [{request_id}] Error in live_logs.fails: GET /fails" in log
    [line] = [line for line in log.splitlines() if "/fails HTTP/1.1" in line]
    assert line.endswith(f" {request_id}")
    request_id = server.get("/wsgi").headers["x-request-id"]
    server.wait_for_log(f"[{request_id}] here: WSGI")
    request_id = server.get("/their-log").headers["x-request-id"]
    server.wait_for_log(f"[INFO] [{request_id}] written to uvicorn.error")


def test_a_configuration_of_gunicorns_finds_the_id(serve):
    config = """
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"own": {"format": "own %(request_id)s %(message)s"}},
    "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
    "root": {"handlers": ["own"], "level": "INFO"},
    "loggers": {"gunicorn.error": {"handlers": ["own"], "level": "INFO", "propagate": False}},
}
access_log_format = "%({x-request-id}i)s %({uvicorn.request_id}e)s %({x-request-id}o)s"
"""
    server = serve("--request-id", app=APP, config=config)
    request_id = server.get("/wsgi").headers["x-request-id"]
    log = server.wait_for_log(f"own {request_id} here: WSGI")
    assert "own - Booting worker" in log
