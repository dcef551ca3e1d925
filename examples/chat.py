"""A chat room in a page, its socket served by a consumer of either kind.

    uvicorn examples.chat:routes --workers 2

    http://127.0.0.1:8000/          the page; open it twice

The page is a synchronous consumer. The socket at /async runs on the event loop, the one at /sync in threads; both talk
in the same room, on whichever worker they are: it is a group. With `--channel-layer redis://...` the room is on as many
machines as you like.
"""

import json
from pathlib import Path

from uvicorn import Group, is_allowed_origin, route

PAGE = Path(__file__).with_name("chat.html").read_bytes()
LONGEST = 500  # characters of a message


def say(name, text):
    """Send to everybody. In a thread it goes out when the consumer has returned."""
    Group("chat").send({"text": json.dumps({"name": name, "text": text[:LONGEST]})})


def page(message):
    reply = {"status": 200, "headers": [(b"content-type", b"text/html; charset=utf-8")], "content": PAGE}
    message["reply_channel"].send(reply)


def on_connect(message):
    """Do what both kinds do; nothing here waits."""
    if not is_allowed_origin(message):
        message["reply_channel"].send({"close": True})
        return
    message["reply_channel"].send({"accept": True})


def on_receive(message):
    # The session lives as long as the socket: the first message is the name.
    session = message["channel_session"]
    text = message["text"] or ""
    if "name" not in session:
        session["name"] = text[:30] or "somebody"
        Group("chat").add(message["reply_channel"])
        say("room", f"{session['name']} has come")
    else:
        say(session["name"], text)


def on_disconnect(message):
    # It is a member no more: that its socket has closed is enough.
    if "name" in message["channel_session"]:
        say("room", f"{message['channel_session']['name']} has left")


HANDLERS = {
    "websocket.connect": on_connect,
    "websocket.receive": on_receive,
    "websocket.disconnect": on_disconnect,
}


def chat(message):
    """Run in a thread of the pool, one call for each message; it might ask a database here."""
    HANDLERS[message["channel"]](message)


async def chat_async(message):
    """Run on the event loop."""
    HANDLERS[message["channel"]](message)


routes = [
    route("http.request", page, path="^/$"),
    *(route(channel, chat, path="^/sync$") for channel in HANDLERS),
    *(route(channel, chat_async, path="^/async$") for channel in HANDLERS),
]
