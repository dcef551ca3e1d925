"""Servers for the tests of this folder: each is ended when its test, or its module, is over."""

import contextlib

import pytest
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
