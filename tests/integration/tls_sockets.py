"""A WebSocket client over TLS that does all of its work in the caller's thread.

The synchronous client of websockets reads in a thread of its own while another one writes. OpenSSL allows no two
threads at one connection: one in some thousand handshakes failed, or got no answer, whoever was the server.
"""

import asyncio

from processes import PATIENCE
from websockets.asyncio.client import connect

__all__ = ["TLSSocket"]


class TLSSocket:
    """One connection, used as that of `websockets.sync.client`."""

    def __init__(self, url, context):
        self._loop = asyncio.new_event_loop()
        try:
            self._socket = self._run(self._connect(url, context))
        except BaseException:
            self._loop.close()
            raise

    @staticmethod
    async def _connect(url, context):
        return await connect(
            url,
            ssl=context,
            open_timeout=PATIENCE,
            close_timeout=PATIENCE,
            ping_interval=None,
            proxy=None,
            max_size=None,
        )

    def _run(self, work):
        return self._loop.run_until_complete(work)

    def send(self, message):
        self._run(self._socket.send(message))

    def recv(self, timeout):
        return self._run(asyncio.wait_for(self._socket.recv(), timeout))

    def close(self):
        self._run(self._socket.close())
        self._socket.transport.close()  # Python 3.10 does not know that it is, if the server was the one to close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.close()
        finally:
            self._loop.close()
