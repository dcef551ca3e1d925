"""Servers for the tests of this folder: each is ended when its test, or its module, is over."""

import contextlib

import pytest
import redis_server
from processes import Server


@pytest.fixture
def serve(tmp_path_factory):
    """Start a server for one test."""
    with contextlib.ExitStack() as stack:

        def start(*args, **arguments):
            return stack.enter_context(Server(tmp_path_factory.mktemp("server"), *args, **arguments))

        yield start


@pytest.fixture(scope="module")
def serve_module(tmp_path_factory):
    """Start a server for all tests of a module."""
    with contextlib.ExitStack() as stack:

        def start(*args, **arguments):
            return stack.enter_context(Server(tmp_path_factory.mktemp("server"), *args, **arguments))

        yield start


@pytest.fixture(scope="module")
def redis():
    """A Redis for all tests of a module."""
    if redis_server.program() is None:
        pytest.skip("redis-server is not installed")
    made = redis_server.RedisServer()
    yield made
    made.close()
