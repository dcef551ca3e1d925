"""A socket over which a WSGI application speaks by itself: what the loop does with it, in the test's own turns."""

import contextlib
import weakref

import pytest
from sockets import SocketClient, handshake

from uvicorn import wsgi
from uvicorn.watching.dump import Dump
from uvicorn.wire.limits import SocketLimits

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


class Speaking:
    """A WSGI application that calls a function with its end of the socket."""

    def __init__(self, speak, answer=()):
        self.speak, self.answer, self.failure = speak, answer, None

    def __call__(self, environ, start_response):
        assert environ["werkzeug.socket"] is environ["gunicorn.socket"]
        end = environ["werkzeug.socket"]
        end.setblocking(False)
        try:
            self.speak(end)
        except AssertionError as error:  # it is the test's, and not for the log
            self.failure = error
        if self.answer:
            start_response("404 Not Found", [])
        return self.answer


@pytest.fixture
def speaking(make_site):
    """Make a site whose application does this with its socket, and a client that has asked for it."""

    def make(speak, answer=(), request=None, **options):
        application = Speaking(lambda end: speak(site, client, end), answer)
        site = make_site(wsgi(application), **options)
        client = SocketClient(site) if request is None else site.connect()
        if request is not None:
            client.send(request)
        site.run_job()
        settle(site)
        if application.failure is not None:
            raise application.failure
        return site, client

    return make


def settle(site):
    for _ in range(5):  # each turn looks at the sockets once
        site.settle()


def begin(site, end):
    end.send(SWITCHED)
    settle(site)


def test_what_it_writes_is_the_answer_and_what_it_returns_is_nothing_to_the_client(speaking):
    site, client = speaking(lambda site, client, end: end.send(SWITCHED + b"hi"), answer=[b"not this"])
    assert client.transport.received == SWITCHED + b"hi"
    assert client.is_closed
    assert [(report.status, report.request_line.target) for report in site.reports] == [(101, b"/chat")]


def test_bytes_go_both_ways_while_it_runs(speaking):
    def speak(site, client, end):
        begin(site, end)
        assert client.transport.received == SWITCHED
        client.send(b"one")
        settle(site)
        end.send(end.recv(100) + b" more")
        settle(site)
        assert client.transport.received == SWITCHED + b"one more"
        assert not client.is_closed

    _, client = speaking(speak)
    assert client.is_closed


def test_bytes_that_came_with_the_head_wait_until_it_has_written(speaking):
    def speak(site, client, end):
        with pytest.raises(BlockingIOError):
            end.recv(100)
        begin(site, end)
        assert end.recv(100) == b"early"

    speaking(speak, request=handshake() + b"early")


def test_an_application_that_writes_nothing_answers_as_for_a_page(speaking):
    _, client = speaking(lambda site, client, end: end.close(), answer=[b"no socket here"])
    assert client.response.status == 404
    assert client.response.body == b"no socket here"
    assert client.is_closed


def test_an_application_that_writes_to_it_in_the_middle_of_a_page_has_no_socket(make_site):
    def application(environ, start_response):
        start_response("200 OK", [])(b"half a page")
        environ["werkzeug.socket"].send(SWITCHED)
        return [b"the other half"]

    site = make_site(wsgi(application))
    client = SocketClient(site)
    site.run_job(in_thread=True)
    settle(site)
    assert b"half a page" in client.transport.received
    assert SWITCHED not in client.transport.received
    assert client.is_closed
    assert [report.status for report in site.reports] == [200]
    assert "in the middle of a reply" in site.log.take("error")[0]


def test_an_application_that_raises_after_it_has_written_is_logged_and_the_connection_closed(speaking):
    def speak(site, client, end):
        end.send(SWITCHED)
        raise ValueError("in the middle")

    site, client = speaking(speak)
    assert client.transport.received == SWITCHED
    assert client.is_closed
    assert len(site.log.take("error")) == 1
    tally = site.service.application.find("http.request", "/", {}).tally
    site.service.dispatcher.measured.take()
    assert (tally.errors, tally.calls) == (1, 0)  # how long a client stays is not how long a page takes


def test_a_dump_names_its_call_for_as_long_as_that_runs(speaking):
    def speak(site, client, end):
        begin(site, end)
        [found] = Dump(site.service, None).in_flight()
        assert found["request"] == "GET /chat"
        assert [socket.state_name for socket in site.service.sockets] == ["raw"]

    site, _ = speaking(speak)
    assert not Dump(site.service, None).in_flight()


@pytest.mark.parametrize("how", ["it left", "the worker stops", "it is there"])
def test_a_broken_pipe_is_an_error_in_the_log_only_if_the_client_is_there(speaking, how):
    def speak(site, client, end):
        begin(site, end)
        if how == "it is there":
            raise BrokenPipeError("of a database")
        if how == "it left":
            client.leave()
        else:
            [socket] = site.service.raw_sockets
            site.loop.call_soon(socket.abort)
        settle(site)
        end.send(b"a word")

    site, _ = speaking(speak)
    assert len(site.log.take("error")) == (how == "it is there")


def test_an_earlier_request_of_the_connection_is_answered_first(make_site):
    site = make_site(wsgi(lambda environ, start_response: speak(environ, start_response)))

    def speak(environ, start_response):
        if "werkzeug.socket" in environ:
            environ["werkzeug.socket"].send(SWITCHED + b"second")
            return []
        start_response("200 OK", [])
        return [b"first"]

    client = site.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n" + handshake())
    site.pool.queue.rotate(1)
    site.run_job()
    settle(site)
    assert not client.transport.received
    site.run_job()
    settle(site)
    assert client.transport.received.endswith(b"first" + SWITCHED + b"second")


def test_its_end_is_read_where_a_request_came_alone_before_the_handshake(make_site):
    read = []

    def application(environ, start_response):
        if end := environ.get("werkzeug.socket"):
            end.setblocking(False)
            begin(site, end)
            client.transport.feed_eof()
            settle(site)
            with contextlib.suppress(BlockingIOError):
                read.append(end.recv(100))
            return []
        start_response("200 OK", [])
        return [b"first"]

    site = make_site(wsgi(application))
    client = site.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
    client.send(handshake())
    site.run_job()
    site.settle()
    site.run_job()
    settle(site)
    assert read == [b""]
    assert client.is_closed


def test_a_client_that_is_behind_is_not_written_to(speaking):
    def speak(site, client, end):
        begin(site, end)
        client.transport.is_stalled = True
        with contextlib.suppress(BlockingIOError):
            for _ in range(1000):
                end.send(b"x" * 65536)
                settle(site)
        assert not client.is_closed
        assert client.transport.get_write_buffer_size() < 1 << 20
        site.pass_time(200)  # write_timeout
        assert client.is_closed

    speaking(speak, write_buffer=65536)


def test_a_client_that_takes_nothing_of_the_last_words_gives_its_place_back(speaking):
    def speak(site, client, end):
        begin(site, end)
        client.transport.is_stalled = True
        end.send(b"bye")

    site, client = speaking(speak)
    assert not client.is_closed
    site.pass_time(30)  # longer than websocket_close_timeout: write_timeout is for it
    assert not client.is_closed
    site.pass_time(200)
    assert client.is_closed
    assert "takes nothing" in site.log.take("info")[-1]


def test_a_tls_client_that_does_not_answer_the_end_gives_its_place_back(speaking):
    def speak(site, client, end):
        begin(site, end)
        client.transport.awaits_peer = True

    site, client = speaking(speak)
    assert not client.is_closed
    site.pass_time(12)  # websocket_close_timeout
    assert client.is_closed


def test_bytes_that_came_with_the_head_are_read_before_the_end_that_comes_when_it_has_just_written(speaking):
    def speak(site, client, end):
        def open_and_end():
            [socket] = site.service.raw_sockets
            socket.look()  # the loop sees what was written
            client.transport.feed_eof()

        end.send(SWITCHED)
        site.loop.call_soon(open_and_end)
        settle(site)
        assert end.recv(100) == b"early"
        assert end.recv(100) == b""

    speaking(speak, request=handshake() + b"early")


def test_the_governor_neither_counts_a_socket_nor_learns_from_it_what_pages_cost(make_site):
    application = wsgi(lambda environ, start_response: [])
    site = make_site(application)
    SocketClient(site)
    [job] = site.pool.queue
    assert job.load.is_light
    assert not job.load.can_learn
    consumer = site.service.application.find("http.request", "/", {})
    assert not consumer.load.is_light
    assert consumer.load.can_learn
    assert job.load is not consumer.load


@pytest.mark.parametrize("which", ["first", "second"])
def test_a_worker_without_descriptors_answers_503(make_site, monkeypatch, which):
    def fail(*_):
        raise OSError(24, "Too many open files")

    site = make_site(wsgi(lambda environ, start_response: []))
    where = "socket.socketpair" if which == "first" else "socket.socket.dup"
    with monkeypatch.context() as patch:
        patch.setattr(where, fail)
        client = SocketClient(site)
    assert client.response.status == 503
    assert "Too many open files" in site.log.take("error")[-1]
    assert not site.service.raw_sockets
    assert not site.pool.queue


@pytest.mark.parametrize("how", ["it left", "it was refused"])
def test_descriptors_of_a_call_that_never_began_are_closed(make_site, how):
    site = make_site(wsgi(lambda environ, start_response: []))
    site.pool.is_full = how == "it was refused"
    client = SocketClient(site)
    [socket] = site.service.raw_sockets
    if how == "it left":
        [job] = site.pool.queue
        end = weakref.ref(job._message["raw_socket"])
        client.leave()
        assert end() is None
    else:
        assert client.response.status == 503
        site.log.take("warning")
    assert socket.end is None
    assert socket._ours.fileno() == -1


def test_a_client_is_not_read_from_while_the_application_reads_nothing(speaking):
    def speak(site, client, end):
        begin(site, end)
        sent = 0
        while not client.transport.is_paused:
            client.send(b"x" * 65536)
            settle(site)
            sent += 65536
            assert sent < 16 << 20
        got = 0
        while got < sent:
            got += len(end.recv(1 << 20))
            settle(site)
        assert not client.transport.is_paused

    speaking(speak)


def test_it_reads_the_end_when_the_client_has_left_and_its_place_is_taken_until_it_returns(speaking):
    def speak(site, client, end):
        begin(site, end)
        client.leave()
        settle(site)
        assert end.recv(100) == b""
        [socket] = site.service.raw_sockets
        assert not socket.is_over
        assert SocketClient(site).response.status == 503

    site, _ = speaking(speak, sockets=SocketLimits(wsgi_sockets=1))
    late = SocketClient(site)
    assert not late.transport.received


def test_a_call_whose_client_is_there_gives_a_sign_of_life_and_one_without_does_not(speaking):
    def speak(site, client, end):
        begin(site, end)
        [socket] = site.service.raw_sockets
        site.pass_time(100)
        assert socket.handshake.active_at == site.loop.time()
        client.leave()
        site.pass_time(100)
        assert socket.handshake.active_at < site.loop.time() - 99

    speaking(speak)


def test_a_worker_that_stops_has_it_read_the_end_and_cuts_the_connection_after_a_while(speaking):
    def speak(site, client, end):
        begin(site, end)
        site.service.begin_stopping()
        settle(site)
        assert end.recv(100) == b""
        end.send(b"last")
        settle(site)
        assert client.transport.received.endswith(b"last")
        site.pass_time(9)
        assert not client.is_closed
        site.pass_time(3)  # websocket_close_timeout
        assert client.is_closed

    speaking(speak)


def test_no_socket_is_opened_once_the_worker_stops(speaking):
    def speak(site, client, end):
        site.service.begin_stopping()
        begin(site, end)

    _, client = speaking(speak)
    assert client.response.status == 503


@pytest.mark.parametrize("most", [0, 4])
def test_one_thread_is_left_for_pages_and_none_is_taken_if_none_may_be(make_site, most):
    site = make_site(wsgi(lambda environ, start_response: []), sockets=SocketLimits(wsgi_sockets=most))
    clients = [SocketClient(site) for _ in range(site.pool.threads)]
    answered = [client.response.status for client in clients if client.transport.received]
    assert answered == ([403] * 4 if not most else [503])
    if not most:
        assert "no thread is left for a raw socket (wsgi_sockets is 0, threads is 4)" in site.log.take("info")[-1]
