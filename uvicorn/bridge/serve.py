"""The task of one asynchronous call: never compiled, so that its stack can be shown."""

from __future__ import annotations

import asyncio
from time import monotonic

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.served import RequestHooks, Served
from uvicorn.messages import Message

__all__ = ["serve"]


async def serve(
    consumer: Consumer,
    message: Message,
    exchange: Served,
    hooks: RequestHooks | None,
    tasks: dict[Served, asyncio.Task[None]],
) -> None:
    """Call a consumer on the loop; tell its exchange what it raises, and leave `tasks`."""
    began = monotonic()
    try:
        if hooks is not None:
            hooks.before(exchange)
        result = await consumer.call(message)
        if result is not None:
            exchange.on_value(result)
            del result
    except BaseException as error:
        exchange.on_failed(error)
    finally:
        tasks.pop(exchange, None)
        consumer.tally.add_run(monotonic() - began)
