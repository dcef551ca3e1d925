"""Separate pools, and calls from one side to the other, in real workers."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import SHORT_DRAIN, eventually


@pytest.fixture
def server(serve):
    return serve("--threads", "1", "--queue-size", "2", app="live_pools:routes", config=SHORT_DRAIN)


def test_slow_work_in_a_pool_of_its_own_leaves_the_rest_alone(server):
    with ThreadPoolExecutor(8) as clients:
        slow = [clients.submit(server.get, path) for path in ("/reports/x", "/hold")]
        both = "uvicorn-reports-1 uvicorn-reports-2"
        eventually(lambda: server.get("/state").text == both, "both threads to be held")
        slow += [clients.submit(server.get, path) for path in ("/reports/x", "/hold") * 2]
        # Two run, two wait and two are refused: the pool has bounds of its own, and the other pool does not notice.
        eventually(lambda: sum(answer.done() for answer in slow) == 2, "two refused")
        assert [answer.result().status_code for answer in slow if answer.done()] == [503, 503]
        assert server.get("/state").text == both
        assert server.get("/quick").text == "uvicorn-consumer-1"
        server.get("/release")
        texts = [answer.result().text for answer in slow if answer.result().status_code == 200]
        assert len(texts) == 4
        assert {*texts} <= {"uvicorn-reports-1", "uvicorn-reports-2"}
    assert "Threads: 1, 2 in pool reports; 3 in all" in server.log()


def test_each_side_can_call_the_other(server):
    text = server.get("/to-the-pool").text
    assert text == "['uvicorn-consumer-1', 'uvicorn-reports-1'] there and back"
    assert server.get("/to-the-loop").text == "MainThread"
    assert "call the function" in server.get("/wrong-side").text


def test_a_thread_that_waits_for_the_loop_is_released_when_the_worker_stops(server):
    with server.raw() as client:
        client.get("/wait-for-ever")
        eventually(lambda: "never" in server.get("/state").text, "the wait")
        assert server.stop() == 0
    assert (server.folder / "ended.txt").read_text() == "ServerStopping"
    assert "Leaving without waiting for threads" not in server.log()


def test_a_pool_without_a_size_is_told_at_start(serve, tmp_path):
    (tmp_path / "sizeless.py").write_text(
        "from uvicorn import route\ndef hello(message): pass\nroutes = [route('http.request', hello, pool='big')]\n"
    )
    server = serve("--pythonpath", str(tmp_path), app="sizeless:routes", is_ready=False)
    assert server.wait() == 4
    assert "pool 'big' has no size: say threads=... at one of its routes" in server.log()
    assert "Traceback" not in server.log()
