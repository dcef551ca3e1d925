"""An application whose start a test holds back, or lets fail, by files in the current folder."""

import os
import time
from pathlib import Path

from uvicorn import Router, route


def wait(gate, is_computing=False):
    """Wait until a file has gone."""
    while Path(gate).exists():
        if not is_computing:
            time.sleep(0.005)


wait("shut-waiting")
wait("shut-computing", is_computing=True)
if Path("broken").exists():
    raise RuntimeError("broken on purpose")
TEXT = Path("text").read_text().encode() if Path("text").exists() else b"first"


def consumer(message):
    time.sleep(0.001)
    body = b"%d %s" % (os.getpid(), TEXT)
    message["reply_channel"].send({"status": 200, "content": body})


def start():
    wait("shut-startup")
    if Path("broken-startup").exists():
        raise RuntimeError("broken at startup")


on_startup = [start]
routes = [route("http.request", consumer)]
application = Router(routes)
