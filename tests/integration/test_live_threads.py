"""What FastAPI hands to threads, through the running server: where it runs, its bounds, its faults, its log."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from processes import PATIENCE, eventually
from websockets.sync.client import connect

LOG = (
    "%(U)s %(s)s mode=%({consumer.mode}e)s hops=%({consumer.hops}e)s "
    "wait=%({consumer.wait_ms}e)s run=%({consumer.run_ms}e)s"
)


@pytest.fixture(scope="module")
def server(serve_module):
    args = ("--threads", "2", "--queue-size", "0", "--access-logfile", "-", "--access-logformat", LOG)
    return serve_module(*args, app="live_threads:routes")


@pytest.fixture(autouse=True)
def fresh(server):
    server.get("/again")
    yield
    server.get("/release")

    def is_over():  # or the next test would find what this one has left: exits come behind their responses
        ran = server.get("/ran").json()
        return ran.count("taken") == ran.count("let go") and server.get("/tokens").json() == [2, 0, 0]

    eventually(is_over, "the end of what runs")


def test_endpoints_dependencies_and_lifespans_run_in_our_threads(server):
    found = server.get("/where").json()
    assert re.fullmatch(r"uvicorn-consumer-[12]", found["endpoint"])
    assert re.fullmatch(r"uvicorn-consumer-[12]", found["dependency"])
    assert re.fullmatch(r"uvicorn-aside-\d+", found["started"])
    # A dependency is let go behind the response.
    eventually(lambda: server.get("/ran").json() == ["taken", "let go"], "the dependency to be let go")


def test_the_pool_of_a_mount_holds_for_what_its_application_hands_to_threads(server):
    assert re.fullmatch(r"uvicorn-reports-[12]", server.get("/reports/where").json()["endpoint"])


def test_a_thread_reaches_the_loop_and_the_loop_a_thread(server):
    found = server.get("/from").json()
    assert found["loop"][0] == "MainThread"
    assert found["loop"][1].startswith("uvicorn-")


def test_past_the_queue_requests_get_503_and_the_log_says_who_holds_the_threads(server):
    before = len(server.log())  # other tests of this server have errors of their own
    with ThreadPoolExecutor(2) as clients:
        holding = [clients.submit(server.get, "/hold") for _ in range(2)]
        eventually(lambda: server.get("/tokens").json() == [2, 2, 0], "both threads to be held")
        refused = server.get("/where")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert server.get("/where").status_code == 503
        eventually(lambda: "threads are held by live_threads.hold (2)" in server.log()[before:], "the names")
        server.get("/release")
        assert [call.result().status_code for call in holding] == [200, 200]
    eventually(lambda: server.get("/ran").json().count("let go") == 2, "the exits of both")
    assert "Error in" not in server.log()[before:]
    eventually(lambda: server.get("/where").status_code == 200, "a thread that has come back")


def test_the_access_log_counts_the_calls_and_their_time(server):
    server.get("/where")
    pattern = r"^/where 200 mode=loop hops=(\d+) wait=\d+ run=\d+$"
    line = eventually(lambda: re.search(pattern, server.log(), re.MULTILINE), "the line")
    assert int(line[1]) >= 2  # the dependency's entry and the endpoint; the exit may come after the answer


def test_a_full_pool_with_nested_calls_ends_in_answers_or_503(server):
    with ThreadPoolExecutor(16) as clients:
        calls = [clients.submit(server.get, "/nested") for _ in range(160)]
        statuses = {call.result().status_code for call in calls}
    assert 200 in statuses
    assert statuses <= {200, 503}
    eventually(lambda: server.get("/tokens").json() == [2, 0, 0], "all threads to be free")


def test_background_tasks_run_after_the_answer(server):
    assert server.get("/late").status_code == 200
    eventually(lambda: [found for found in server.get("/ran").json() if found.startswith("uvicorn-consumer")], "it")


def test_an_endpoint_that_raises_an_exit_or_an_error_costs_its_own_request(server):
    assert server.get("/fails").status_code == 418
    assert server.get("/exits").status_code == 500
    assert server.get("/where").status_code == 200


def test_a_socket_keeps_one_thread_and_many_sockets_hold_half_of_them_at_most(server):
    with ExitStack() as opened:
        url = server.url.replace("http", "ws", 1) + "/channels"
        sockets = [opened.enter_context(connect(url, open_timeout=PATIENCE, proxy=None)) for _ in range(5)]
        for _ in range(3):
            for socket in sockets:
                socket.send("where")
        found = [socket.recv(PATIENCE) for socket in sockets for _ in range(3)]
        assert len(set(found)) == 1
        assert re.fullmatch(r"uvicorn-consumer-[12]", found[0])
        assert server.get("/where").status_code == 200  # by the other thread
        sockets[0].send("outside")
        assert sockets[0].recv(PATIENCE).startswith("uvicorn-aside-")
    eventually(lambda: server.get("/tokens").json()[1] == 0, "the thread to be given back")


@pytest.mark.parametrize("path", ["/never", "/sensitive"])
def test_endpoints_that_never_return_are_named_and_their_worker_is_replaced(serve, path):
    server = serve("--threads", "2", "--stuck-after", "1", app="live_threads:routes")
    [old] = server.workers()
    with ThreadPoolExecutor(3) as clients:
        stuck = [clients.submit(server.get, path) for _ in range(2)]
        server.wait_for_log("2 of 2 threads of uvicorn-consumer are stuck")
        waiting = clients.submit(server.get, "/where")
        assert [call.result().status_code for call in stuck] == [504, 504]
        assert waiting.result().status_code == 503
    eventually(lambda: old not in server.workers(), "the old worker to leave")
    assert server.get("/where").status_code == 200
    assert "the worker is replaced" in server.log()


def test_the_start_says_how_many_threads_and_whose(serve):
    server = serve(app="live_threads:app")
    assert "Threads: 40, for what ASGI applications hand to threads" in server.log()
    assert re.search(r"Threads of frameworks are ours: asyncio \(uvloop\), anyio [\d.]+", server.log())
    assert server.get("/tokens").json() == [40, 0, 0]


def test_frameworks_may_keep_their_threads(serve):
    server = serve("--framework-threads", "own", app="live_threads:app")
    found = server.get("/where").json()
    assert found["endpoint"] == "AnyIO worker thread"
    assert not found["started"].startswith("uvicorn-")
    assert "Threads of frameworks" not in server.log()
