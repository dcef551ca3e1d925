"""Stand-ins for the loop, the transport, the pool and the disk: no threads, no sockets, no waiting."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque

from patience import PATIENCE_SECONDS

from uvicorn.wire.head import HeaderPolicy


class FakeLoop(asyncio.SelectorEventLoop):
    """Run real tasks and callbacks, by a clock that the test moves."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0
        self._is_busy = False
        self._failures = []
        self.set_exception_handler(self._take_failure)

    def time(self):
        return self.now

    def call_soon(self, callback, *args, context=None):
        self._is_busy = True
        return super().call_soon(callback, *args, context=context)

    def call_soon_threadsafe(self, callback, *args, context=None):
        self._is_busy = True
        return super().call_soon_threadsafe(callback, *args, context=context)

    def turn(self):
        """Run one turn: what is ready now, and not what that makes ready."""
        super().call_soon(self.stop)
        self.run_forever()
        assert self._failures == []

    def settle(self):
        """Run turns until nothing is left to do."""
        for _ in range(1000):
            super().call_soon(self.stop)
            self._is_busy = False
            self.run_forever()
            assert self._failures == []
            if not self._is_busy:
                return
        raise AssertionError("the loop does not come to rest")

    def end(self):
        """Cancel what runs, and close."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        try:
            self.settle()
        finally:
            self.close()

    def _take_failure(self, _, context):
        if "handle" in context:  # a callback raised; what a task raises is for whoever made it
            self._failures.append(context)


class FakeTransport(asyncio.Transport):
    """A connection whose client takes everything at once, unless `is_stalled`.

    Attributes:
        received: what the client has got.
        unsent: what waits for a stalled client.
        misuse: what was written after `close` or `write_eof`.
        awaits_peer: after `close`, the connection stays until the client agrees, as with TLS.
    """

    def __init__(self, loop, protocol, has_eof=True):
        super().__init__()
        self.protocol = protocol
        self.received = bytearray()
        self.unsent = bytearray()
        self.is_stalled = self.is_paused = self.is_lost = False
        self.is_aborted = self.is_eof_written = self.awaits_peer = False
        self.misuse = []
        self.pauses = 0
        self.extra = {}  # what else `get_extra_info` knows
        self._loop = loop
        self._has_eof = has_eof
        self._is_broken = self._is_closing = self._is_writing_paused = False
        self._high = 65536
        self._waiting = deque()  # sent by the client, while reading is paused
        self._sockets = None

    def set_protocol(self, protocol):
        self.protocol = protocol

    def feed(self, data):
        """Deliver what the client sends, now or when reading goes on."""
        if self.is_paused:
            self._waiting.append(data)
        elif not self._is_closing:
            self.protocol.data_received(data)

    def feed_eof(self):
        """Deliver the client's FIN, now or when reading goes on."""
        if self.is_paused:
            self._waiting.append(None)
        elif not self._is_closing and not self.protocol.eof_received():
            self.close()

    def break_off(self):
        """Lose the client: what is written from here on goes nowhere."""
        self._is_broken = self._is_closing = True
        self.unsent.clear()
        self._lose()

    def drain(self, size=None):
        """Let a stalled client take some bytes, or all."""
        size = len(self.unsent) if size is None else size
        self.received += self.unsent[:size]
        del self.unsent[:size]
        if self._is_writing_paused and len(self.unsent) <= self._high // 4:
            self._is_writing_paused = False
            self.protocol.resume_writing()
        if self._is_closing and not self.unsent:
            self._lose()

    def write(self, data):
        assert isinstance(data, (bytes, bytearray, memoryview))
        if self._is_broken:
            return
        if self.is_eof_written or self._is_closing:
            self.misuse.append(bytes(data))
            if self.is_eof_written:
                raise RuntimeError("Cannot call write() after write_eof()")
        elif not self.is_stalled:
            self.received += data
        else:
            self.unsent += data
            self._pause_writing()

    def close(self):
        self._is_closing = True
        if not self.unsent and not self.awaits_peer:
            self._lose()

    def abort(self):
        self.is_aborted = self._is_closing = True
        self.unsent.clear()
        self._lose()

    def pause_reading(self):
        assert not self.is_paused
        self.pauses += 1
        self.is_paused = True

    def resume_reading(self):
        assert self.is_paused
        self.is_paused = False
        self._loop.call_soon(self._loop.call_soon, self._deliver)  # a socket is looked at in the next turn

    def is_closing(self):
        return self._is_closing

    def can_write_eof(self):
        return self._has_eof

    def write_eof(self):
        assert self._has_eof
        assert not self._is_closing
        self.is_eof_written = True

    def set_write_buffer_limits(self, high=None, low=None):
        self._high = high
        self._pause_writing()

    def _pause_writing(self):
        if len(self.unsent) > self._high and not self._is_writing_paused:
            self._is_writing_paused = True
            self.protocol.pause_writing()

    def get_write_buffer_size(self):
        return len(self.unsent)

    def get_extra_info(self, name, default=None):
        return self.sockets[0] if name == "socket" else self.extra.get(name, default)

    @property
    def sockets(self):
        """Our end and the client's, for what asks the system about the client."""
        if self._sockets is None:
            self._sockets = socket.socketpair()
        return self._sockets

    def end(self):
        for sock in self._sockets or ():
            sock.close()

    def _lose(self):
        if not self.is_lost:
            self.is_lost = True
            self._loop.call_soon(self.protocol.connection_lost, None)

    def _deliver(self):
        while self._waiting and not self.is_paused:
            data = self._waiting.popleft()
            if data is None:
                self.feed_eof()
            else:
                self.feed(data)


class FakeLog:
    """Keep what is logged: `lines` of (level, text)."""

    def __init__(self):
        self.lines = []

    def __getattr__(self, level):
        if level not in ("debug", "info", "warning", "error"):
            raise AttributeError(level)
        return lambda text, *args, exc_info=None: self.lines.append((level, text % args if args else text))

    def take(self, level):
        """Return the texts of one level, and forget them."""
        texts = [text for at, text in self.lines if at == level]
        self.lines = [line for line in self.lines if line[0] != level]
        return texts


class FakePeers:
    """Trust every peer, or none."""

    def __init__(self, proxy_mode="off", is_trusted=False, header_map="drop", may_proxy=True, forwarding=None):
        self.proxy_mode = proxy_mode
        secure = {b"x-forwarded-proto": b"https"}
        self._policy = HeaderPolicy(secure, frozenset({b"script_name"}), header_map, is_trusted, forwarding)
        self._may_proxy = may_proxy

    def header_policy(self, address):
        return self._policy

    def policy_behind(self, address, client):
        return self._policy

    def may_begin_http2(self, address):
        return True

    def may_send_proxy_header(self, address):
        return self._may_proxy


class ManualPool:
    """A pool whose jobs run when the test says so, in the test's thread or in one that is joined."""

    def __init__(self):
        self.threads = 4
        self.busy = 0
        self.held = self.stuck = 0
        self.is_full = False
        self.hosts = self.shared_hosts = ()
        self.queue = deque()

    @property
    def queued(self):
        return len(self.queue)

    def submit(self, job):
        if self.is_full:
            return False
        self.queue.append(job)
        return True

    submit_beyond = submit

    def put_back(self, jobs):
        self.queue.extendleft(reversed(jobs))

    def cancel(self, job):
        if job not in self.queue:
            return False
        self.queue.remove(job)
        return True

    def expire(self, before):
        return []

    def running(self):
        return iter(())

    def run(self, in_thread=False):
        """Run the job that waits longest."""
        job = self.queue.popleft()
        if not in_thread:
            job.run()
            return
        thread = threading.Thread(target=job.run, daemon=True)
        thread.start()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


class ManualFiles:
    """Threads for files that work when the test says so, or in the next turn of the loop.

    Attributes:
        is_held: work waits for `work`.
        most: works that may wait.
        works: how much was done.
    """

    def __init__(self, loop):
        self._loop = loop
        self.is_held = False
        self.most = 1000
        self.works = 0
        self.waiting = deque()

    @property
    def is_full(self):
        return len(self.waiting) >= self.most

    def run(self, work, on_done):
        self.waiting.append((work, on_done))
        if not self.is_held:
            self._loop.call_soon(self.work)  # which need not run: a test lets a client take something between turns

    def work(self):
        """Do what waits longest."""
        work, on_done = self.waiting.popleft()
        self.works += 1
        try:
            result = work()
        except Exception as error:
            result = error
        on_done(result)
        del result  # or an error and this frame would hold each other, and the file

    def stop(self):
        self.waiting.clear()


class ManualSpools:
    """A disk that writes when the test says so."""

    def __init__(self):
        self.waiting = deque()

    def write(self, spool, block):
        self.waiting.append((spool, block))

    def work(self, make_file, error=None):
        """Write what waits, or fail."""
        while self.waiting:
            spool, block = self.waiting.popleft()
            if error is None:
                spool.file = spool.file or make_file()
                spool.file.write(block)
            spool.on_written(error)

    def stop(self):
        self.waiting.clear()
