"""A chat room in a page, its socket served by a consumer of either kind.

    uvicorn examples.chat:routes

    http://127.0.0.1:8000/          the page; open it twice

The page is a synchronous consumer. The socket at /async runs on the event loop, the one at /sync in threads; both talk
in the same room, because a reply channel can be used from anywhere.
"""

import json
import threading
from pathlib import Path

from uvicorn import ChannelClosed, ChannelFull, is_allowed_origin, route

PAGE = Path(__file__).with_name("chat.html").read_bytes()
LONGEST = 500  # characters of a message


class Room:
    """Know who is there. Used from the event loop and from threads, so it has a lock."""

    def __init__(self):
        self._members = {}
        self._lock = threading.Lock()

    def enter(self, reply_channel, name):
        with self._lock:
            self._members[reply_channel] = name

    def leave(self, reply_channel):
        with self._lock:
            self._members.pop(reply_channel, None)

    def others(self):
        with self._lock:
            return list(self._members)

    def say(self, name, text):
        """Send to everybody.

        In a thread `send` waits for a member that is behind. On the event loop nobody waits here, and one that is
        far behind raises `ChannelFull`.
        """
        line = json.dumps({"name": name, "text": text[:LONGEST]})
        for reply_channel in self.others():
            try:
                reply_channel.send({"text": line})
            except (ChannelClosed, ChannelFull):
                self.leave(reply_channel)


room = Room()


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
        room.enter(message["reply_channel"], session["name"])
        room.say("room", f"{session['name']} has come")
    else:
        room.say(session["name"], text)


def on_disconnect(message):
    room.leave(message["reply_channel"])
    if "name" in message["channel_session"]:
        room.say("room", f"{message['channel_session']['name']} has left")


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
