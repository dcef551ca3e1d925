"""What a worker warns of, each provoked, and asserted by its text and by the line that it names."""

import os
import re
import signal
import threading
import time

import pytest
from processes import HERE, eventually

SOURCE = HERE / "watched_consumers.py"


def line_number(name):
    """Return the number of the line that keeps the loop, or a thread, in this consumer."""
    lines = SOURCE.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(f"# LINE: {name}"))


@pytest.fixture(scope="module", params=["uvicorn", "gunicorn"])
def server(serve_module, request):
    return serve_module(
        "--threads",
        "4",
        app="watched_consumers:routes",
        command=request.param,
    )


def provoke(server, path, pattern):
    """Ask again and again until the log has a match; return it. At first a busy machine may be blamed instead."""

    def found():
        server.get(path)
        return re.search(pattern, server.log())

    return eventually(found, lambda: f"{pattern!r} in the log:\n{server.log()}")


def test_a_blocking_call_is_named(server):
    name, line = "watched_consumers.sleeps", line_number("sleeps")
    provoke(
        server,
        "/sleeps",
        rf"WARNING\] {name} blocked the event loop for \d\.\d\d seconds: GET /sleeps at {SOURCE}:{line}, in sleeps\. "
        r"Make it a plain 'def', which runs in a thread, or await what blocks with bridge\.run_in_pool\(function, "
        rf"\.\.\.\)\n  File \"{SOURCE}\", line {line}, in sleeps\n    time\.sleep\(WALL\)",
    )


def test_a_long_block_is_named_while_it_lasts_and_when_it_has_ended(server):
    line = line_number("sleeps_long")
    at = rf"{SOURCE}:{line}, in sleeps_long"
    match = provoke(
        server,
        "/sleeps-long",
        rf"sleeps_long blocked the event loop for \d+\.\d\d seconds so far: GET /sleeps-long at {at}\.",
    )
    ended = rf"The event loop turns again, after \d+\.\d\d seconds: \S+sleeps_long \(GET /sleeps-long\) at {at}\n"
    eventually(lambda: re.search(ended, server.log()[match.end() :]), server.log)


def test_a_wait_on_the_loop_for_the_loop_is_ended_with_an_error_and_both_lines(server):
    before = len(server.log())
    assert server.get("/waits-for-itself").status_code == 500
    hello = SOURCE.read_text().splitlines().index("async def hello(message):") + 1
    pattern = (
        r"ERROR\] watched_consumers\.waits_for_itself would have waited for ever, for GET /waits-for-itself: the event "
        rf"loop waits at {SOURCE}:{line_number('waits_for_itself')}, in waits_for_itself for hello at {SOURCE}:{hello}"
        r", which runs when that has ended\. It got CancelledError after \d+\.\d\d seconds\. Await it instead\n"
    )
    assert re.search(pattern, server.log()[before:]), server.log()[before:]
    assert server.get("/hello").status_code == 200


def test_computing_on_the_loop_is_named(server):
    line = line_number("computes")
    provoke(
        server,
        "/computes",
        rf"watched_consumers\.computes computed on the event loop for \d+\.\d\d seconds( so far)?: GET /computes at "
        rf"{SOURCE}:({line}|{line + 1}), in computes\.",
    )


def test_a_callback_is_named_by_its_line(server):
    line = line_number("callback")
    provoke(
        server,
        "/later",
        rf"a callback of the event loop blocked the event loop for \d\.\d\d seconds at {SOURCE}:{line}, in callback\.",
    )


def test_c_code_that_keeps_the_interpreter_is_named_when_it_has_ended(server):
    line = line_number("holds")
    provoke(
        server,
        "/holds",
        rf"C code kept the interpreter for \d\.\d\d seconds, and nothing else ran meanwhile: watched_consumers\.holds "
        rf"\(GET /holds\) at {SOURCE}:{line}, in holds\. Call it in another process, or let it release the interpreter",
    )


def test_a_collection_of_garbage_is_told_apart(server):
    provoke(
        server,
        "/collects",
        r"A collection of garbage \(generation \d\) stopped the worker for \d+\.\d\d seconds: many objects are alive",
    )


def test_a_worker_that_was_stopped_is_told_apart(serve):
    server = serve(app="watched_consumers:routes")

    def found():
        os.kill(server.worker(), signal.SIGSTOP)
        time.sleep(0.7)
        os.kill(server.worker(), signal.SIGCONT)
        return re.search(r"The worker got no processor for \d+\.\d\d seconds: it was stopped \(SIGSTOP", server.log())

    eventually(found, lambda: server.log())


def test_threads_that_compute_are_told_apart(serve):
    server = serve(
        "--threads", "8", "--governor", "off", "--switch-interval", "0.1", app="watched_consumers:routes",
    )  # fmt: skip

    def found():
        threads = [threading.Thread(target=server.get, args=("/burns",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return re.search(
            r"The event loop was ready and did not get the interpreter for \d+\.\d\d seconds: threads compute\. More "
            r"workers, or fewer threads, and see governor and switch_interval\n"
            r"  uvicorn-consumer-\d in watched_consumers\.burns: GET /burns\n    at \S+",
            server.log(),
        )

    eventually(found, lambda: server.log())


def test_nothing_looks_if_that_is_switched_off(serve):
    server = serve("--loop-block-warning", "0", app="watched_consumers:routes")
    for path in ("/sleeps", "/sleeps-long", "/sleeps"):
        server.get(path)
    assert server.stop() == 0
    assert not re.search("(blocked|computed on) the event loop|event loop (was|turns)", server.log())


def test_a_dry_pool_and_its_slow_consumers_are_named_and_told_when_it_is_over(serve):
    server = serve(
        "--threads", "2", "--pool-wait-warning", "0.2", "--slow-consumer-warning", "2", app="watched_consumers:routes"
    )  # fmt: skip
    line = line_number("waits")
    threads = [threading.Thread(target=server.get, args=("/waits",)) for _ in range(5)]
    for thread in threads[:2]:
        thread.start()
    # Only then those that wait for a thread: the pool is told to be dry once, and by what it does then.
    eventually(lambda: server.get("/counts-waits").text == "2", "both threads to be held")
    for thread in threads[2:]:
        thread.start()
    server.wait_for_log("uvicorn-consumer ran dry: ")
    assert re.search(
        r"uvicorn-consumer ran dry: \d jobs wait, the first for \d+\.\d seconds, and 2 of 2 threads are busy\. Threads "
        r"are held by watched_consumers\.waits \(2\)\. More threads, a pool of their own for slow consumers, or "
        r"deadlines in what they wait for\n  uvicorn-consumer-\d for \d+\.\d seconds in watched_consumers\.waits: "
        rf"GET /waits\n    at {SOURCE}:{line}, in waits, which is in \S+threading\.py:\d+, in wait",
        server.log(),
    )
    server.wait_for_log("watched_consumers.waits is slow: ")
    assert re.search(
        r"watched_consumers\.waits is slow: GET /waits, for \d+ seconds in thread uvicorn-consumer-\d, at "
        rf"{SOURCE}:{line}, in waits, which is in \S+threading\.py:\d+, in wait(; and 1 more calls of it)?\n  File \""
        rf"{SOURCE}\", line {line}, in waits\n    door\(message\)\.wait\(900\)",
        server.log(),
    )
    server.get("/opens")
    for thread in threads:
        thread.join()
    server.wait_for_log("watched_consumers.waits has ended, after ")
    server.wait_for_log("uvicorn-consumer has threads again, after ")
    assert server.log().count("ran dry") == 1


def test_a_slow_coroutine_is_named_with_the_line_at_which_it_waits(serve):
    server = serve("--slow-consumer-warning", "0.5", app="watched_consumers:routes")
    thread = threading.Thread(target=server.get, args=("/waits-on-loop",))
    thread.start()
    server.wait_for_log("watched_consumers.waits_on_loop is slow: GET /waits-on-loop, for ")
    assert f" seconds on the loop, at {SOURCE}:{line_number('waits_on_loop')}, in waits_on_loop" in server.log()
    server.get("/opens")
    thread.join()
    server.wait_for_log("watched_consumers.waits_on_loop has ended, after ")
