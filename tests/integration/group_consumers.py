"""Groups and channels, for live tests: each answer says which worker it comes from."""

import json
import os

from uvicorn import Channel, Group, route, wsgi


def told(**keys):
    return {"text": json.dumps({"pid": os.getpid(), **keys})}


def connect(message):
    message.reply_channel.send({"accept": True})
    Group("room").add(message.reply_channel)
    message.reply_channel.send(told(name=message.reply_channel.name))


def receive(message):
    Group("room").send(told(said=message["text"]))


async def publish(message):
    await Group("room").send(told(said="from the loop"))
    message.reply_channel.send({"status": 200, "content": b"%d" % os.getpid()})


def view(environ, start_response):
    """Send as a WSGI application does: at once."""
    Channel("jobs").send({"n": int(environ["QUERY_STRING"])})
    start_response("200 OK", [])
    return [b"%d" % os.getpid()]


def job(message):
    Group("room").send(told(done=message["n"]))


def kill(message):
    os.kill(os.getpid(), 9)


routes = [
    route("websocket.connect", connect),
    route("websocket.receive", receive),
    route("http.request", publish, path="^/publish$"),
    route("http.request", kill, path="^/kill$"),
    route("http.request", wsgi(view), path="^/job$"),
    route("http.request", lambda message: message.reply_channel.send({"status": 200, "content": b"ready"})),
    route("jobs", job),
]
