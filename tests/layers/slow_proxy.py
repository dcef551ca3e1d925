"""What stands before a server and lets everything through a little later."""

import asyncio
import contextlib

__all__ = ["SlowProxy"]

_CHUNK = 65536
_TURNS = 10  # of the loop: more than asyncio needs for a client that it has accepted already


class SlowProxy:
    """A proxy for a server on a unix socket.

    Args:
        path: where the server is.
        own: where we are.
        seconds: by which each chunk is late, in both directions.

    Attributes:
        chunks, bytes: how many have come from clients.
    """

    def __init__(self, path, own, seconds):
        self._path = path
        self._own = own
        self._seconds = seconds
        self._tasks = []
        self._writers = []
        self.chunks = self.bytes = 0

    @property
    def url(self):
        return f"unix://{self._own}"

    async def __aenter__(self):
        self._server = await asyncio.start_unix_server(self._begin, str(self._own))
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
        for writer in self._writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _begin(self, reader, writer):
        """A client has come. No coroutine: one that is cancelled before its first step would close nothing."""
        self._writers.append(writer)
        self._tasks.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader, writer):
        other_reader, other = await asyncio.open_unix_connection(str(self._path))
        self._writers.append(other)
        try:
            await asyncio.gather(self._pass(reader, other, True), self._pass(other_reader, writer, False))
        finally:
            writer.close()
            other.close()

    async def _pass(self, reader, writer, is_asking):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                if is_asking:
                    self.chunks += 1
                    self.bytes += len(data)
                await asyncio.sleep(self._seconds)
                writer.write(data)
                await writer.drain()
            writer.write_eof()
