"""Health paths of real workers: answered beside a full pool, and not ready when it is starved or stops."""

import json
import signal

import pytest
from processes import eventually
from test_live_status import Holding


@pytest.fixture(scope="module", params=["uvicorn", "gunicorn"])
def server(serve_module, request):
    return serve_module(
        "--threads", "1", "--workers", "2", app="watched_consumers:routes", command=request.param,
        env={"UVICORN_HEALTH_PATH": "/-/health", "UVICORN_READY_MAX_WAIT": "0.1", "UVICORN_READY_GRACE": "1"},
    )  # fmt: skip


def test_it_is_ready_and_tells_a_trusted_peer_its_numbers(server):
    eventually(lambda: server.get("/-/health/ready?all").status_code == 200, "both workers to be ready")
    answer = server.get("/-/health/ready").json()
    assert answer["status"] == "ready"
    assert answer["pid"] in server.workers()
    assert answer["pools"]["uvicorn-consumer"]["threads"] == 1
    assert server.get("/-/health/live", headers={"X-Forwarded-For": "1.2.3.4"}).text == "live\n"
    assert server.get("/-/health/startup").json()["status"] == "started"


def test_a_starved_worker_is_not_ready_and_answers_at_once(server):
    with Holding(server, *["/waits"] * 8):

        def told():
            answer = server.get("/-/health/ready?all")
            reasons = answer.json().get("reasons", ())
            return any("uvicorn-consumer is starved" in reason for reason in reasons) and answer

        answer = eventually(told, "a starved worker")
        assert answer.status_code == 503
        assert answer.json()["status"] == "not ready"
        assert server.get("/-/health/live").status_code == 200
    eventually(lambda: server.get("/-/health/ready?all").status_code == 200, "it to be ready again")


def test_a_worker_that_stops_says_so_on_a_connection_that_is_there(serve):
    server = serve("--health-path", "/-/health", app="watched_consumers:routes")
    with server.client() as client, server.raw() as holding, server.raw() as kept:
        assert b"HTTP/1.1 200 " in kept.get("/-/health/ready").receive(until=b"}\n")
        holding.get("/waits")
        eventually(lambda: client.get("/-/health/ready").json()["pools"]["uvicorn-consumer"]["busy"], "the request")
        kept.begin("/-/health/ready")
        server.signal(signal.SIGTERM)
        server.wait_for_log("Worker stopping")
        answer = kept.end().receive()  # the connection was kept, and is closed after this
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["reasons"] == ["it stops"]


def test_without_the_setting_the_paths_are_the_applications(serve):
    server = serve(app="watched_consumers:routes")
    assert server.get("/-/health/live").text == str(server.worker())
