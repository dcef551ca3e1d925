"""WSGI applications that speak WebSocket by themselves: with flask-sock, simple-websocket, and bytes alone."""

import threading

import simple_websocket
from flask import Flask
from flask_sock import Sock

CHUNK = b"x" * 65536
MOST = 64 << 20

app = Flask(__name__)
sock = Sock(app)
said = []
gone = threading.Event()


@app.route("/said")
def tell():
    return {"said": said}


@app.route("/ready")
def page():
    return "a page"


@sock.route("/echo")
def echo(ws):
    while True:
        ws.send(ws.receive())


@sock.route("/bye")
def bye(ws):
    ws.send("bye")


@sock.route("/until-it-leaves")
def until_it_leaves(ws):
    ws.send("go")
    try:
        ws.receive()
    except simple_websocket.ConnectionClosed:
        said.append("it has left")


class Pinging(simple_websocket.Server):
    """One that pings, and takes each ping for answered: the other one closes if a pong is later than the next ping."""

    pong_received = property(lambda self: True, lambda self, value: None)


def plain(environ, start_response):
    """simple-websocket without a framework; it pings."""
    ws = Pinging(environ, ping_interval=0.1)
    try:
        while True:
            ws.send(ws.receive())
    except simple_websocket.ConnectionClosed:
        return []


def as_gunicorn(environ, start_response):
    """What flask-sock does where it takes the server for Gunicorn."""
    environ["gunicorn.socket"].sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\nhello")
    raise StopIteration


def fails(environ, start_response):
    raise ValueError("before anything was written")


def mirror(environ, start_response):
    """Send back what comes, and at its end how much it was."""
    end = environ["werkzeug.socket"]
    end.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    count = 0
    while data := end.recv(65536):
        count += len(data)
        end.sendall(data)
    end.sendall(b" %d bytes" % count)
    return []


def writes(environ, start_response):
    """Write as long as it is taken."""
    end, count = environ["werkzeug.socket"], 0
    end.settimeout(0.5)
    try:
        while count < MOST:
            count += end.send(CHUNK)
        said.append("all was taken")
    except TimeoutError:
        said.append("it has to wait")
    except OSError:
        said.append("it is gone")
    return []


def reads_nothing(environ, start_response):
    """Accept, and read nothing until there is nothing more to come."""
    environ["werkzeug.socket"].sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    gone.wait()
    return []


@app.route("/gone")
def set_gone():
    gone.set()
    return "set"


APPS = {f"/{each.__name__}": each for each in (plain, as_gunicorn, fails, mirror, writes, reads_nothing)}


def application(environ, start_response):
    return APPS.get(environ["PATH_INFO"], app)(environ, start_response)
