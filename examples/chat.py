"""A chat room in a page, its socket served by a consumer of either kind. It survives the restart of its workers.

    uvicorn examples.chat:routes --workers 2

    http://127.0.0.1:8000/          the page; open it twice, and have the workers replaced: kill -HUP, or kill one

The page is a synchronous consumer. The socket at /async runs on the event loop, the one at /sync in threads; both talk
in the same room, on whichever worker they are: it is a group. With `--channel-layer redis://...` the room is on as many
machines as you like.

The room has a history. A page keeps what it has seen last, and says it when it comes back: then it is given what it has
missed. What it has said itself it keeps until it hears it, and says it again when it comes back; each line has an id,
by which pages know one that they have shown already. A line that cannot be sent raises, which closes the socket.
"""

import json
import os
import secrets
from pathlib import Path

from uvicorn import Group, is_allowed_origin, route

PAGE = Path(__file__).with_name("chat.html").read_bytes()
LONGEST = 500  # characters of a message
ROOM = Group("chat", history=100, history_seconds=300)
GONE = (1000, 1001, 1005)  # codes of a page that was closed; with others it comes back


def page(message):
    reply = {"status": 200, "headers": [(b"content-type", b"text/html; charset=utf-8")], "content": PAGE}
    message["reply_channel"].send(reply)


# ---- what both kinds do ----


def line(name, text, id=None):
    return {"text": json.dumps({"id": id or secrets.token_hex(8), "name": name, "text": text[:LONGEST]})}


def connect(message):
    message["reply_channel"].send({"accept": True} if is_allowed_origin(message) else {"close": True})


def read(message):
    """Return what a page has said: an object with texts, and perhaps `since`."""
    try:
        said = json.loads(message["text"] or "")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def text_of(said, key, most):
    value = said.get(key)
    return value[:most] if isinstance(value, str) else ""


def seen_by(said):
    """Return what a page has seen last, as `Group.add` wants it."""
    since = said.get("since")
    if isinstance(since, list) and [type(part) for part in since] == [str, int]:
        return tuple(since)
    return None


def joined(message, said, standing):
    """Tell the page that it has all that it missed; return what the room is told.

    The session lives as long as the socket.
    """
    name = message["channel_session"]["name"] = text_of(said, "name", 30) or "somebody"
    told = {"epoch": standing.epoch, "offset": standing.offset, "missed": standing.missed, "worker": os.getpid()}
    message["reply_channel"].send({"text": json.dumps(told)})
    return line("room", f"{name} has come", text_of(said, "id", 40)) if seen_by(said) is None else None


def is_joining(message):
    return message["channel"] == "websocket.receive" and "name" not in message["channel_session"]


def act(message):
    """Do all but to join; return what the room is told."""
    channel, session = message["channel"], message["channel_session"]
    if channel == "websocket.connect":
        connect(message)
    elif channel == "websocket.receive":
        said = read(message)
        return line(session["name"], text_of(said, "text", LONGEST), text_of(said, "id", 40))
    elif channel == "websocket.gap":
        message["reply_channel"].send({"text": json.dumps({"gap": message["missed"]})})
    elif "name" in session and message["code"] in GONE:  # it is a member no more: that its socket has closed is enough
        return line("room", f"{session['name']} has left")
    return None


# ---- either kind ----


def chat(message):
    """Run in a thread of the pool, one call for each message; it might ask a database here."""
    if is_joining(message):
        said = read(message)
        told = joined(message, said, ROOM.add(message["reply_channel"], since=seen_by(said), with_offset=True))
    else:
        told = act(message)
    if told is not None:
        ROOM.send(told, immediately=True)  # not when we have returned: then nobody would hear that it could not be sent


async def chat_async(message):
    """Run on the event loop."""
    if is_joining(message):
        said = read(message)
        told = joined(message, said, await ROOM.add(message["reply_channel"], since=seen_by(said), with_offset=True))
    else:
        told = act(message)
    if told is not None:
        await ROOM.send(told)


CHANNELS = ("websocket.connect", "websocket.receive", "websocket.disconnect", "websocket.gap")

routes = [
    route("http.request", page, path="^/$"),
    *(route(channel, chat, path="^/sync$") for channel in CHANNELS),
    *(route(channel, chat_async, path="^/async$") for channel in CHANNELS),
]
