"""Clients that vanish, in every state of a request: nothing of them is left."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import eventually

CLIENTS = 1000
BATCH = 40

HEAD = b"POST %s HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n"
GET = b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n"

# What a client sends before it vanishes, and how many bytes of the answer it takes.
WAYS = [
    (b"", 0),
    (b"GE", 0),
    (b"GET /sync/hello HTTP/1.1\r\nHost: te", 0),
    (HEAD % (b"/sync/echo", 1000) + b"x" * 500, 0),
    (HEAD % (b"/async/echo", 1000) + b"x" * 500, 0),
    (HEAD % (b"/sync/digest", 9_000_000) + b"x" * 100_000, 0),
    (HEAD % (b"/sync/digest", 9_000_000) + b"x" * 1_000_000, 0),
    (HEAD % (b"/async/digest", 9_000_000) + b"x" * 100_000, 0),
    (HEAD % (b"/sync/digest-as-it-comes", 9_000_000) + b"x" * 100_000, 0),
    (GET % b"/sync/hello", 0),
    (GET % b"/async/hello", 10),
    (GET % b"/sync/slow?seconds=0.01", 0),
    (GET % b"/async/slow?seconds=0.1", 0),
    (GET % b"/sync/stream?chunks=1000000", 0),
    (GET % b"/async/stream?chunks=1000000", 1000),
    (GET % b"/async/never-return", 0),
    (GET % b"/async/keep", 0),
    (GET % b"/sync/later", 0),
    ((GET % b"/sync/slow?seconds=0.01") + (GET % b"/async/hello") * 5, 0),
    ((GET % b"/async/hello") * 40, 100),
]


@pytest.fixture
def server(serve):
    return serve("--threads", "4", "--queue-size", "500", "--asgi-disconnect-grace-period", "0")


def vanish(server, count):
    """Have clients vanish, half of them with a FIN and half with a RST, a batch at a time."""
    for start in range(0, count, BATCH):
        raws = []
        for number in range(start, start + BATCH):
            sent, taken = WAYS[number % len(WAYS)]
            raw = server.raw()
            raws.append(raw)
            if sent:
                raw.send(sent)
            if taken:
                raw.receive(size=taken)
        for number, raw in enumerate(raws):
            if (number + number // len(WAYS)) % 2:
                raw.reset()
            else:
                raw.socket.close()


@pytest.mark.slow
def test_a_thousand_clients_that_vanish_leave_nothing_behind(server):
    vanish(server, 2 * BATCH)  # threads, caches and so on are there now
    before = eventually(lambda: left(server), "the first clients to be forgotten")
    memory = server.memory()

    vanish(server, CLIENTS)

    # Each way was taken by fifty clients: a few more are those that ask.
    eventually(lambda: all(left(server).get(name, 99) <= before[name] + 3 for name in before), f"about {before}")
    assert server.memory() < memory + 30
    threads = server.state()["threads"]
    assert len([name for name in threads if name.startswith("uvicorn-consumer-")]) == 4
    assert server.get("/sync/hello").content == b"hello from a thread"
    assert server.get("/async/hello").content == b"hello from the loop"
    assert "Traceback" not in server.log()
    assert server.state()["calls"]["disconnect"] > CLIENTS / 20


def left(server):
    """Count what is in the worker; nothing while a consumer holds on."""
    server.get("/forget")
    state = server.state()
    if state["holding"] or state["objects"]["HTTPConnection"] > 3:
        return {}
    return {"files": state["files"], "tasks": state["tasks"], **state["objects"]}


@pytest.mark.parametrize("way", ["close", "reset"])
def test_a_client_that_leaves_the_queue_never_takes_a_thread(serve, way):
    server = serve("--threads", "1", "--queue-size", "50")

    with server.raw() as first:
        first.get("/sync/hold?name=first")
        eventually(lambda: server.state()["holding"], "the only thread to be busy")
        waiting = [server.raw().get("/sync/hold?name=waiting") for _ in range(20)]
        eventually(lambda: server.state()["objects"]["ConsumerJob"] == 21, "twenty in the queue")
        for raw in waiting:
            raw.reset() if way == "reset" else raw.socket.close()
        eventually(lambda: server.state()["objects"]["ConsumerJob"] == 1, "the queue to be empty")
        server.get("/release?name=waiting")
        server.get("/release?name=first")
        assert first.receive(until=b"first").endswith(b"first")

    assert server.get("/sync/hello").status_code == 200
    assert "waiting" not in server.state()["calls"]


@pytest.mark.parametrize("side", ["sync", "async"])
@pytest.mark.parametrize("way", ["close", "reset"])
def test_a_streaming_consumer_learns_that_its_client_left(serve, side, way):
    server = serve()

    with server.raw() as raw:
        raw.get(f"/{side}/stream?chunks=1000000").receive(size=100_000)
        if way == "reset":
            raw.reset()
    eventually(lambda: server.state()["calls"].get(f"{side} stream: ChannelClosed") == 1, "ChannelClosed")

    eventually(lambda: server.state()["calls"].get("disconnect") == 1, "the message http.disconnect")
    assert "Traceback" not in server.log()


@pytest.mark.slow
def test_a_task_whose_client_left_is_cancelled_after_the_grace_period(serve):
    server = serve("--asgi-disconnect-grace-period", "1")

    with server.raw() as raw:
        raw.get("/async/never-return")
        eventually(lambda: server.state()["holding"].get("stuck task") == 1, "the consumer to run")
        tasks = server.state()["tasks"]
        raw.reset()
    eventually(lambda: server.state()["tasks"] == tasks - 1, "the task to be cancelled")
    assert "Traceback" not in server.log()


def test_a_stream_to_a_client_that_takes_everything_lets_others_be_served(serve):
    server = serve()
    is_over = threading.Event()

    def take(raw):
        buffer = bytearray(1 << 20)
        while not is_over.is_set():
            raw.socket.recv_into(buffer)

    with server.raw() as raw, ThreadPoolExecutor(1) as clients:
        raw.get("/async/stream?chunks=100000000").receive(size=1000)
        taking = clients.submit(take, raw)
        try:
            for _ in range(20):
                assert server.get("/async/hello").status_code == 200
            assert not taking.done()
        finally:
            is_over.set()
