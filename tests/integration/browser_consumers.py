"""A page with a style sheet and a script, which posts bodies and opens sockets when it is told to."""

import live_consumers

from uvicorn import route


def whole(content, kind):
    return {"status": 200, "headers": [(b"content-type", kind)], "content": content}


async def page(message):
    message["reply_channel"].send(whole(PAGE, b"text/html; charset=utf-8"))


def style(message):
    message["reply_channel"].send(whole(STYLE, b"text/css"))


def script(message):
    message["reply_channel"].send(whole(SCRIPT, b"text/javascript; charset=utf-8"))


def connect(message):
    message["reply_channel"].send({"accept": True})
    message["reply_channel"].send({"text": f"HTTP/{message['http_version']}"})


async def connect_async(message):
    message["reply_channel"].send({"accept": True})
    await message["reply_channel"].send({"text": f"HTTP/{message['http_version']}"})


def receive(message):
    message["reply_channel"].send({"text": message["text"]})


async def receive_async(message):
    await message["reply_channel"].send({"text": message["text"]})


PAGE = b"""<!doctype html><title>a page</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/page.css"><script src="/page.js"></script><body>hello"""

STYLE = b"body { color: rgb(1, 2, 3) }"

SCRIPT = rb"""
const results = {};
const large = "caf\u00e9 ".repeat(50000);  // past the windows and buffers of a stream

async function post(path) {
  const answer = await fetch(path, {method: "POST", body: large});
  results[path] = await answer.text() === large;
}

function talk(path) {
  const socket = new WebSocket(`wss://${location.host}${path}`);
  const got = [];
  socket.onopen = () => { socket.send("hello"); socket.send(large); };
  socket.onmessage = event => {
    got.push(event.data === large || event.data);
    if (got.length === 3) socket.close(4321, "enough");
  };
  socket.onclose = event => { results[path] = [...got, event.code, event.wasClean]; };
}

function protocols() {
  const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
  return Object.fromEntries(entries.map(entry => [new URL(entry.name).pathname, entry.nextHopProtocol]));
}
"""

routes = [
    route("http.request", page, path="^/page$"),
    route("http.request", style, path="^/page.css$"),
    route("http.request", script, path="^/page.js$"),
    route("http.request", live_consumers.echo, path="^/sync/echo$"),
    route("http.request", live_consumers.echo_async, path="^/async/echo$"),
    route("http.request", live_consumers.hello_async, path="^/ready$"),
    route("websocket.connect", connect, path="^/sync/socket$"),
    route("websocket.connect", connect_async, path="^/async/socket$"),
    route("websocket.receive", receive, path="^/sync/socket$"),
    route("websocket.receive", receive_async, path="^/async/socket$"),
]
