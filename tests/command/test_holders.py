"""Whether an address is free, and who has it."""

import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ports import free_port

from uvicorn.command import holders
from uvicorn.command.holders import have_holders_named, holder_of, taken

on_linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not tell")


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()


def test_a_number_that_is_no_port_is_said():
    assert taken([("127.0.0.1", 80000)]) == "80000 is no number of a port: 0 to 65535"


def test_a_free_address_is_not_taken():
    assert taken([("127.0.0.1", free_port()), "/run/app.sock", 3, ("127.0.0.1", 0), ("192.0.2.1", 80)]) is None


def test_an_address_that_somebody_listens_at_is_taken(listening):
    told = taken([("127.0.0.1", 0), listening])
    assert told.startswith(f"127.0.0.1:{listening[1]} is in use")
    assert told.endswith(": stop that, or choose another port with --port")


@on_linux
def test_the_process_is_named(listening):
    assert holder_of(listening[1]).endswith(f" (pid {os.getpid()})")
    assert os.path.basename(sys.executable)[:6] in holder_of(listening[1])
    assert f"(pid {os.getpid()})" in (taken([listening]) or "")


@on_linux
def test_a_master_is_named_though_its_worker_has_the_smaller_number(monkeypatch):
    """Process ids begin anew when the largest was given."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        master, worker = holders._began(os.getpid()), holders._began(child.pid)
    assert master < worker
    monkeypatch.setattr(holders, "_began", {17: worker, 32767: master}.get)
    monkeypatch.setattr(holders, "_inodes", lambda port: ["1"])
    monkeypatch.setattr(holders, "_has_one", lambda pid, inodes: pid in (17, 32767))
    monkeypatch.setattr(holders, "_listed", lambda folder: ["1", "17", "self", "32767"])
    assert holder_of(80).endswith(" (pid 32767)")


@on_linux
def test_an_ipv6_address_is_shown_with_brackets():
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with server:
        port = server.getsockname()[1]
        assert taken([("::1", port)]).startswith(f"[::1]:{port} is in use by ")


def test_nobody_is_named_where_it_cannot_be_known(listening, monkeypatch):
    monkeypatch.setattr(os, "listdir", lambda folder: [])
    assert holder_of(listening[1]) == ""
    told = taken([listening])
    assert told is not None
    assert " by " not in told


def test_a_port_that_nobody_listens_at_has_no_holder():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert holder_of(probe.getsockname()[1]) == ""


@on_linux
def test_gunicorns_own_line_about_a_port_in_use_names_the_process(listening):
    have_holders_named()
    have_holders_named()
    log, told = logging.getLogger("gunicorn.error"), []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    log.addHandler(handler)
    try:
        log.error("Connection in use: %s", str(listening))
        for unknown in ("/run/app.sock", "(1)", "('x',)", "('127.0.0.1', 0)"):
            log.error("Connection in use: %s", unknown)
        log.error("Connection in use: %s")
    finally:
        log.removeHandler(handler)
    first, *others = told
    assert first.startswith(f"Connection in use: {listening}, by ")
    assert first.endswith(f"(pid {os.getpid()})")
    assert len(others) == 5
    assert not any(", by " in other for other in others)
