"""Both kinds of consumers in one application, and a stream in each direction.

uvicorn examples.mixed:routes

curl http://127.0.0.1:8000/                                     the index, from the event loop
curl "http://127.0.0.1:8000/primes?below=100"                   computed in a thread
curl -N --limit-rate 20k http://127.0.0.1:8000/rows.csv         a download from a thread
curl --data-binary @README.md http://127.0.0.1:8000/checksum    an upload, read as it comes
"""

import hashlib
from urllib.parse import parse_qs

from uvicorn import ChannelClosed, route

TEXT = [(b"content-type", b"text/plain; charset=utf-8")]

LARGEST_TABLE = 1_000_000
ROWS = 2_000_000
ROWS_PER_CHUNK = 500

INDEX = b"""/primes?below=100    a synchronous consumer
/rows.csv            a streamed download
/checksum            POST a file here
"""


async def index(message):
    """Run on the event loop, because it is a coroutine function; never wait for anything here without `await`."""
    message["reply_channel"].send({"status": 200, "headers": TEXT, "content": INDEX})


def primes(message):
    """Run in a thread of the pool, because it is a plain function; it may compute, sleep or wait for a database."""
    reply_channel = message["reply_channel"]
    # The query string is bytes, as it came.
    query = parse_qs(message["query_string"].decode("latin-1"))
    try:
        below = int(query.get("below", ["100"])[0])
    except ValueError:
        below = 0
    if not 2 < below <= LARGEST_TABLE:
        text = f"below must be a number from 3 to {LARGEST_TABLE}\n"
        reply_channel.send({"status": 400, "headers": TEXT, "content": text.encode()})
        return
    is_prime = bytearray([1]) * below
    is_prime[:2] = b"\0\0"
    for number in range(2, int(below**0.5) + 1):
        if is_prime[number]:
            is_prime[number * number :: number] = bytes(len(range(number * number, below, number)))
    text = " ".join(str(number) for number in range(below) if is_prime[number])
    # Content is bytes: the server never guesses an encoding.
    reply_channel.send({"status": 200, "headers": TEXT, "content": text.encode() + b"\n"})


def rows(message):
    """Send a table while it is made: the whole of it is never in memory.

    `send` with `more_content` blocks this thread while the client is more than `write_buffer` bytes behind.
    """
    send = message["reply_channel"].send
    send({"status": 200, "headers": [(b"content-type", b"text/csv")], "content": b"n,square\n", "more_content": True})
    try:
        for start in range(0, ROWS, ROWS_PER_CHUNK):
            lines = [f"{n},{n * n}\n" for n in range(start, start + ROWS_PER_CHUNK)]
            send({"content": "".join(lines).encode(), "more_content": True})
    except ChannelClosed:
        # The client left. Nothing has to be caught for that; it is caught to show where to tidy up.
        print("the client left before the last row")
        raise
    # The last reply has no more_content. It may have content.
    send({})


def checksum(message):
    """Hash an upload of any size.

    A small body is whole in `body`. Of a larger one `body` is the beginning, and `body_channel` has the rest.
    """
    reply_channel = message["reply_channel"]
    if message["method"] != "POST":
        reply_channel.send({"status": 405, "headers": [*TEXT, (b"allow", b"POST")], "content": b"POST a file\n"})
        return
    digest = hashlib.sha256(message["body"])
    size = len(message["body"])
    if message["body_channel"] is not None:
        # Each turn waits for the client. If the client leaves, this raises ChannelClosed.
        for chunk in message["body_channel"]:
            digest.update(chunk)
            size += len(chunk)
    text = f"{digest.hexdigest()}  {size} bytes\n"
    reply_channel.send({"status": 200, "headers": TEXT, "content": text.encode()})


routes = [
    route("http.request", index, path=r"^/$"),
    route("http.request", primes, path=r"^/primes$"),
    route("http.request", rows, path=r"^/rows\.csv$"),
    # Without body="stream" a large upload would be collected first, and the thread taken when it is complete.
    route("http.request", checksum, path=r"^/checksum$", body="stream"),
]
