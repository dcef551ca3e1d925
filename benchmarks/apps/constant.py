"""The limit of an event loop in Python: answer every read with the same bytes, whatever was asked.

python constant.py PORT
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from work import PAGE

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%b" % (len(PAGE), PAGE)


class Constant(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(_ANSWER)


async def main(port):
    server = await asyncio.get_running_loop().create_server(Constant, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


uvloop.install()
asyncio.run(main(int(sys.argv[1])))
