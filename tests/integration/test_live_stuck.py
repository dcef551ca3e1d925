"""Threads that hang or burn for ever: named, counted, and when none is left, left behind with their worker."""

import re
import signal

import pytest
from processes import eventually
from test_live_signals import has_left

APP = "fault_consumers:routes"


def take_threads(server, path, count, clients):
    """Have so many threads run a consumer that does not come back."""
    for _ in range(count):
        client = server.raw()
        clients.append(client)
        client.get(path)
    eventually(lambda: server.get("/hanging").text == str(count), "the threads to be taken")


@pytest.fixture
def clients():
    made = []
    yield made
    for client in made:
        client.socket.close()


@pytest.mark.parametrize("path", ["/hang", "/burn"])
@pytest.mark.parametrize("command", ["uvicorn", "gunicorn"])
def test_a_worker_without_a_free_thread_is_replaced_and_nobody_else_fails(serve, clients, command, path):
    server = serve("--threads", "2", app=APP, command=command, env={"UVICORN_STUCK_AFTER": "1"})
    [old] = server.workers()

    take_threads(server, path, 2, clients)
    waiting = server.raw()
    clients.append(waiting)
    waiting.get("/hello")
    server.wait_for_log("the worker is replaced")
    eventually(lambda: has_left(old), "the old worker to leave")

    assert waiting.receive().startswith(b"HTTP/1.1 503 ")
    for client in clients[:2]:
        assert client.receive().startswith(b"HTTP/1.1 504 ")
    answers = [server.get("/hello") for _ in range(5)]
    [new] = server.workers()
    assert {answer.text for answer in answers} == {f"from a thread, {new}"}

    log = server.log()
    assert "2 of 2 threads of uvicorn-consumer are stuck" in log
    assert len(re.findall(r"uvicorn-consumer-[12] since [-\d]+ [:\d]+ \(\d+ seconds\) in fault_consumers", log)) == 2
    assert re.search(r"at \S+fault_consumers.py:\d+, in ", log)
    assert f"in fault_consumers.{path[1:]}: GET {path}" in log
    # A new one first, and then the old one leaves; unless Gunicorn's master has stood still for ten seconds.
    assert "The master has not answered" in log or log.index(
        "Booting worker", log.index("the worker is replaced")
    ) < log.index("Worker stopping")
    assert "SIGKILL" not in log
    assert "exited with code" not in log


def test_the_number_of_workers_stays_and_only_the_stuck_one_leaves(serve, clients):
    server = serve("--threads", "1", "--workers", "3", "--stuck-after", "3", "--queue-size", "4", app=APP)
    eventually(lambda: len(server.workers()) == 3, "three workers")
    before = set(server.workers())
    stuck = server.raw()
    clients.append(stuck)
    stuck.get("/hang")
    server.wait_for_log("1 of 1 threads of uvicorn-consumer are stuck")

    def ask():  # one waits behind the stuck one, or is left to another worker
        client = server.raw()
        clients.append(client)
        client.get("/hello")
        return "the worker is replaced" in server.log()

    eventually(ask, "a request for the stuck worker")
    eventually(lambda: len(before - set(server.workers())) == 1, "the stuck worker to leave")
    for _ in range(20):
        assert server.get("/hello").status_code == 200
    assert len(server.workers()) == 3
    assert len(before & set(server.workers())) == 2
    assert server.log().count("Booting worker") == 4


def test_consumers_that_are_declared_long_are_never_taken_for_stuck(serve, clients):
    server = serve("--threads", "2", "--stuck-after", "1", "--graceful-timeout", "1", app=APP)
    [old] = server.workers()
    take_threads(server, "/long", 1, clients)
    hanging = server.raw()
    clients.append(hanging)
    hanging.get("/hang")
    waiting = server.raw()
    clients.append(waiting)
    waiting.get("/hello")
    server.wait_for_log("1 of 2 threads of uvicorn-consumer are stuck")
    assert server.get("/hello-async").text == f"from the loop, {old}"
    record = server.log().split("are stuck", 1)[1].split("\n[", 1)[0]  # others say who holds threads, this one too
    assert "fault_consumers.hang" in record
    assert "fault_consumers.long" not in record
    assert server.workers() == [old]


def test_a_stop_does_not_wait_for_threads_that_are_known_to_be_stuck(serve, clients):
    server = serve("--threads", "2", "--stuck-after", "1", "--reply-timeout", "2", app=APP)
    take_threads(server, "/burn", 1, clients)
    [burning] = clients
    assert burning.receive().startswith(b"HTTP/1.1 504 ")
    server.wait_for_log("1 of 2 threads of uvicorn-consumer are stuck")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "Leaving without waiting for threads: uvicorn-consumer-" in server.log()


def test_a_thread_that_goes_on_sending_is_not_stuck(serve, clients):
    server = serve("--threads", "2", "--stuck-after", "1", "--graceful-timeout", "1", app=APP)
    stream = server.raw()
    clients.append(stream)
    stream.get("/stream-for-ever")
    take_threads(server, "/hang", 1, clients)

    def is_told():
        stream.receive(size=1_000_000)
        return "1 of 2 threads of uvicorn-consumer are stuck" in server.log()

    eventually(is_told, "the other thread to be named")
    for _ in range(3):
        stream.receive(size=1_000_000)
    assert "in fault_consumers.stream_for_ever" not in server.log()
