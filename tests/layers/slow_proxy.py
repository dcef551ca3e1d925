"""What stands before a server and lets everything through a little later."""

import asyncio
import contextlib

__all__ = ["SlowProxy"]

_CHUNK = 65536


class SlowProxy:
    """A proxy for a server on a unix socket.

    Args:
        path: where the server is.
        own: where we are.
        seconds: by which each chunk is late, in both directions.

    Attributes:
        chunks: how many have come from clients.
    """

    def __init__(self, path, own, seconds):
        self._path = path
        self._own = own
        self._seconds = seconds
        self._tasks = set()
        self.chunks = 0

    @property
    def url(self):
        return f"unix://{self._own}"

    async def __aenter__(self):
        self._server = await asyncio.start_unix_server(self._serve, str(self._own))
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        other_reader, other = await asyncio.open_unix_connection(str(self._path))
        try:
            await asyncio.gather(self._pass(reader, other, True), self._pass(other_reader, writer, False))
        finally:
            for each in (other, writer):
                each.close()
                with contextlib.suppress(OSError):
                    await each.wait_closed()

    async def _pass(self, reader, writer, is_asking):
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                self.chunks += is_asking
                await asyncio.sleep(self._seconds)
                writer.write(data)
                await writer.drain()
            writer.write_eof()
