"""The thread that answers operators: one caller after the other, whatever befalls the one before."""

import errno
import socket
import threading

import pytest
from patience import NEVER_SECONDS, PATIENCE_SECONDS, until
from pool_doubles import RecordingLog

from uvicorn.bridge import aside as aside_module
from uvicorn.bridge.aside import Aside


@pytest.fixture(autouse=True)
def _no_caller_is_slow(monkeypatch):
    monkeypatch.setattr(aside_module, "_SECONDS", NEVER_SECONDS)


def echo(caller):
    caller.sendall(caller.recv(100))


class Serving:
    def __init__(self, handler=echo, listener=None):
        self.log = RecordingLog()
        self.listener = listener or socket.create_server(("127.0.0.1", 0))
        self.aside = Aside(self.log)
        self.aside.serve(self.listener, handler)
        self.aside.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.aside.stop()
        self.listener.close()

    def ask(self):
        with socket.create_connection(self.listener.getsockname(), timeout=PATIENCE_SECONDS) as caller:
            caller.sendall(b"hello")
            return caller.recv(100)


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (ValueError("broken"), "error", "Error in the answer to a caller"),
        (TimeoutError("slow"), "debug", "A caller was not answered: slow"),
    ],
)
def test_a_caller_who_fails_leaves_the_next_one_answered(error, level, text):
    errors = [error]

    def handler(caller):
        echo(caller)
        if errors:
            raise errors.pop()

    with Serving(handler) as serving:
        assert serving.ask() == b"hello"
        assert serving.ask() == b"hello"
        assert serving.log.texts(level) == [text]


def test_functions_are_called_in_order_in_the_thread_also_when_one_raises():
    called = []

    def broken():
        raise LookupError("broken")

    with Serving() as serving:
        for call in (lambda: called.append(1), broken, lambda: called.append(threading.current_thread().name)):
            serving.aside.call(call)
        until(lambda: len(called) == 2, "the calls")
        assert called == [1, "uvicorn-aside"]
        assert [type(error) for error in serving.log.errors] == [LookupError]


def test_more_calls_than_the_pipe_takes_are_all_made():
    go, called = threading.Event(), []
    with Serving() as serving:
        serving.aside.call(lambda: go.wait(PATIENCE_SECONDS))
        for number in range(70_000):  # 64 KiB fit in
            serving.aside.call(lambda number=number: called.append(number))
        go.set()
        until(lambda: len(called) == 70_000, "the calls")
        assert called == sorted(called)


def test_it_can_be_stopped_before_it_began():
    Aside(RecordingLog()).stop()


class Listener(socket.socket):
    """One whose `accept` fails as often as the test says."""

    failures: list[OSError]
    accepts = 0

    def accept(self):
        self.accepts += 1
        if self.failures:
            raise self.failures.pop()
        return super().accept()


def listener(*failures):
    made = Listener(socket.AF_INET, socket.SOCK_STREAM)
    made.bind(("127.0.0.1", 0))
    made.listen()
    made.failures = list(failures)
    return made


def test_a_caller_whom_a_sibling_took_is_no_reason_to_pause(monkeypatch):
    monkeypatch.setattr(aside_module, "_PAUSE_SECONDS", 10 * PATIENCE_SECONDS)
    with Serving(listener=listener(BlockingIOError(), ConnectionAbortedError())) as serving:
        assert serving.ask() == b"hello"
        assert serving.listener.accepts == 3


def test_it_does_not_spin_while_there_is_no_descriptor_for_a_caller_and_takes_him_later(monkeypatch):
    monkeypatch.setattr(aside_module, "_PAUSE_SECONDS", 10 * PATIENCE_SECONDS)
    with Serving(listener=listener(OSError(errno.EMFILE, "Too many open files"))) as serving:
        with socket.create_connection(serving.listener.getsockname(), timeout=PATIENCE_SECONDS) as caller:
            caller.sendall(b"hello")
            until(lambda: serving.listener.accepts == 1, "the first try")
            called = threading.Event()
            serving.aside.call(called.set)  # it hears of calls meanwhile
            assert called.wait(PATIENCE_SECONDS)
            assert caller.recv(100) == b"hello"
        assert serving.listener.accepts == 2
        told = f"A caller could not be taken: [Errno {errno.EMFILE}] Too many open files"
        assert serving.log.texts("warning") == [told]
