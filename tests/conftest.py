"""What all tests share. Its folder is where `doubles` and `clients` are imported from."""

from __future__ import annotations

import compileall
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

import uvicorn
import uvicorn.command.known_settings  # tests make Gunicorn's configurations themselves

sys.path.append(str(Path(__file__).parent.parent))  # for `benchmarks`; last, so that what is installed is tested
pytest.register_assert_rewrite("clients", "doubles", "h2_clients", "interleaving_calls", "interleavings", "sockets")

import patience  # noqa: E402
from clients import Site  # noqa: E402
from h2_clients import ENGINES, Http2Sites  # noqa: E402


def pytest_xdist_auto_num_workers(config):
    """Tell how many processes run the tests: most tests wait for servers, so there are two for each processor.

    Named files and tests run in one process, without the start of others, and with what they print.
    """
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, 2 * processors)


def pytest_configure(config):
    """Compile the package once, where PYTHONDONTWRITEBYTECODE would have each of hundreds of servers do it.

    Measured on such a machine, with nothing compiled by Cython: half of a server's start.
    """
    if sys.dont_write_bytecode and not hasattr(config, "workerinput"):  # before there are several processes
        compileall.compile_dir(os.path.dirname(uvicorn.__file__), quiet=2)


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left(tmp_path_factory):
    """Remove at the end what is left in the temporary directory: tests kill many servers, which then cannot."""
    tmp_path_factory.getbasetemp()  # that of pytest stays where it is
    before = os.environ.get("TMPDIR")
    # A short path: that of a unix socket has a limit.
    with tempfile.TemporaryDirectory(prefix="uv", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o711)  # PostgreSQL, which refuses to be root, comes to its own folder in it
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        yield
    tempfile.tempdir = None
    if before is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before


@pytest.fixture(autouse=True)
def _threads_end():
    """Fail a test that leaves a thread which Python would wait for at its exit: daemons, or joined."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + patience.PATIENCE_SECONDS
    for thread in set(threading.enumerate()) - before:
        if not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
            assert not thread.is_alive(), f"{thread} is no daemon, and has not ended"


@pytest.fixture
def make_site():
    """Make sites; at the end of the test each must have nothing unexpected in its log or on its wire."""
    sites = []

    def make(application, **options):
        sites.append(Site(application, **options))
        return sites[-1]

    yield make
    for site in sites:
        site.end()


@pytest.fixture(params=ENGINES)
def make_http2(request, make_site):
    """Make sites that speak HTTP/2, by each engine."""
    return Http2Sites(make_site, request.param)
