"""What the master tells systemd, read from a real datagram socket."""

import os
import re
import socket
import time

import pytest
from doubles import FakeLog

from uvicorn.command import systemd as module
from uvicorn.command.systemd import Notifier, give_back, hold_back


@pytest.fixture(params=["path", "abstract"])
def systemd(request, tmp_path):
    """Return a socket as systemd has it, and its name as NOTIFY_SOCKET has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = str(tmp_path / "notify") if request.param == "path" else f"@uvicorn-test-{os.getpid()}"
        sock.bind(name.replace("@", "\0", 1))
        sock.setblocking(False)
        yield sock, name


def told(sock):
    messages = []
    while True:
        try:
            messages.append(sock.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_what_is_told_of_a_life(systemd):
    sock, name = systemd
    environ = {"NOTIFY_SOCKET": name}
    notifier = Notifier(environ, FakeLog())
    assert notifier.is_on
    assert environ == {}  # nobody else speaks for the service
    notifier.status("Starting")
    notifier.status("Starting")
    notifier.ready("Serving")
    notifier.status("Serving")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading("Reloading")
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.ready("Serving")
    notifier.hand_over(77)
    notifier.stopping("Stopping")
    messages = told(sock)
    assert messages[:2] == ["STATUS=Starting", "READY=1\nSTATUS=Serving"]
    found = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)\nSTATUS=Reloading", messages[2])
    assert before <= int(found[1]) <= after
    assert messages[3:] == ["READY=1\nSTATUS=Serving", "MAINPID=77", "STOPPING=1\nSTATUS=Stopping"]


def test_the_watchdog_is_told_often_enough_and_not_more(systemd):
    sock, name = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3600000000"}, FakeLog())
    assert notifier.watchdog_seconds == 3600
    notifier.ping()
    notifier.ping()
    assert told(sock) == ["WATCHDOG=1"]


def test_the_watchdog_is_told_at_once_though_the_clock_began_with_the_machine_just_now(systemd, monkeypatch):
    sock, name = systemd
    monkeypatch.setattr(module.time, "monotonic", lambda: 1.0)
    Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3600000000"}, FakeLog()).ping()
    assert told(sock) == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
)
def test_a_watchdog_that_is_not_there_or_watches_another_process_is_not_told(systemd, environ):
    sock, name = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name, **environ}, FakeLog())
    notifier.ping()
    assert told(sock) == []


def test_a_new_master_speaks_to_systemd_too(systemd):
    _, name = systemd
    notifier = Notifier(
        {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "5000000", "WATCHDOG_PID": str(os.getpid())}, FakeLog()
    )
    environ = {"WATCHDOG_PID": str(os.getpid())}
    notifier.lend(environ)
    assert environ == {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "5000000"}
    Notifier({}, FakeLog()).lend(environ := {})
    assert environ == {}


def test_without_systemd_nothing_is_told():
    notifier = Notifier({"WATCHDOG_USEC": "1000000"}, FakeLog())
    notifier.ready("Serving")
    notifier.ping()
    assert not notifier.is_on


def test_a_systemd_that_has_gone_does_not_end_the_master(tmp_path):
    log = FakeLog()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}, log).ready("Serving")
    assert "Cannot tell systemd" in log.take("debug")[0]


def test_what_gunicorn_is_not_to_find_is_given_back_once_it_has_started(monkeypatch):
    monkeypatch.setattr(module, "_is_given_back", False)
    environ = {"NOTIFY_SOCKET": "/run/x", "HOME": "/"}
    for _ in range(2):  # the class is looked up more than once
        hold_back(environ)
        assert environ == {"HOME": "/"}
    give_back(environ)
    hold_back(environ)  # a reload
    assert environ == {"NOTIFY_SOCKET": "/run/x", "HOME": "/"}
    give_back(environ)
    assert environ == {"NOTIFY_SOCKET": "/run/x", "HOME": "/"}
