"""The smallest consumers: one that runs in a thread, and one that runs on the event loop.

uvicorn examples.hello:hello_world
uvicorn examples.hello:hello_async
"""


def hello_world(message):
    message["reply_channel"].send(
        {"status": 200, "headers": [(b"content-type", b"text/plain")], "content": b"Hello, world!\n"}
    )


async def hello_async(message):
    message["reply_channel"].send(
        {"status": 200, "headers": [(b"content-type", b"text/plain")], "content": b"Hello, world!\n"}
    )
