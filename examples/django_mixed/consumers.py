"""Message consumers beside Django: one on the loop, and those of a Channels 1 project."""

import asyncio

from django.db import close_old_connections

from examples.django_mixed.shop.models import Note
from uvicorn import bridge

TEXT = [(b"content-type", b"text/plain; charset=utf-8")]


def count_notes():
    """Use the ORM, in a thread."""
    close_old_connections()
    return Note.objects.count()


async def events(message):
    """Send a server-sent event ten times a second, on the event loop: thousands of clients cost no thread."""
    send = message["reply_channel"].send
    send({"status": 200, "headers": [(b"content-type", b"text/event-stream")], "more_content": True})
    for number in range(1_000_000):
        notes = await bridge.run_in_pool(count_notes)
        await send({"content": b"data: %d %d\n\n" % (number, notes), "more_content": True})
        await asyncio.sleep(0.1)


def report(message, year):
    """Answer as a consumer of Channels 1 did: the named group of the route is an argument."""
    text = f"{count_notes()} notes, asked for {year} at {message.content['path']}\n"
    message.reply_channel.send({"status": 200, "headers": TEXT, "content": text.encode()})


def home(message):
    """Be the home page of the reports."""
    message.reply_channel.send({"status": 200, "headers": TEXT, "content": b"reports\n"})
