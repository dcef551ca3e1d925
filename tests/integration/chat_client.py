"""What the page of the chat does, without a browser: it comes back, says what it has seen, and what is not heard."""

import contextlib
import json
import secrets
import threading

from processes import PATIENCE
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

__all__ = ["ChatClient"]


class ChatClient:
    """One person in the room.

    Attributes:
        lines: (name, text) of each line, in the order in which they came.
        repeated: how many lines came again that it had seen, by their offset.
        gaps: how many lines were missing, each time that this was told.
        worker: the process id of the worker that it is in the room by; 0 while it is not.
        course: what came, for who reads of a failure: the offset of each line, and what it was told beside.
    """

    def __init__(self, url, name):
        self.lines = []
        self.repeated = 0
        self.gaps = []
        self.course = []
        self.worker = 0
        self.came_back = 0
        self._url = url
        self._name = name
        self._me = secrets.token_hex(8)
        self._since = None
        self._said = {}
        self._shown = set()
        self._lock = threading.Lock()
        self._socket = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._is_over.set()
        self.leave()
        self._thread.join(PATIENCE)

    def __repr__(self):
        return (
            f"<{self._name} heard {len(self.texts)}: {self.course}, gaps {self.gaps}, at {self._since}, "
            f"by worker {self.worker}, for the {self.came_back}th time, "
            f"not heard yet {[*self._said.values()]}, {self._socket}>"
        )

    @property
    def texts(self):
        return [text for name, text in self.lines if name != "room"]

    def say(self, text):
        id = secrets.token_hex(8)
        with self._lock:
            self._said[id] = text
            if self.worker:
                self._send({"id": id, "text": text})

    def leave(self):
        """Have the socket closed; it comes back, if this is not over."""
        socket = self._socket
        if socket is not None:
            socket.close()

    def _run(self):
        while not self._is_over.is_set():
            with (
                contextlib.suppress(OSError, EOFError, WebSocketException),
                connect(self._url, proxy=None, open_timeout=PATIENCE, close_timeout=1, ping_interval=None) as socket,
            ):
                self._socket = socket
                if self._is_over.is_set():  # nobody closes this one any more
                    break
                self._send({"id": self._me, "name": self._name, "since": self._since})
                for data in socket:
                    self._receive(json.loads(data))
            with self._lock:
                self.worker = 0
            self.course.append("left")
            self._is_over.wait(0.05)

    def _send(self, said):
        with contextlib.suppress(OSError, EOFError, WebSocketException):
            self._socket.send(json.dumps(said))

    def _receive(self, data):
        self.course.append(data["offset"] if "text" in data else data)
        if "missed" in data:
            with self._lock:
                self.worker = data["worker"]
                self.came_back += 1
                if self._since is None or self._since[0] != data["epoch"]:
                    self._since = [data["epoch"], data["offset"]]
                for id, text in self._said.items():
                    self._send({"id": id, "text": text})
        elif "gap" in data:
            self.gaps.append(data["gap"])
        else:
            if self._since is not None and self._since[0] == data["epoch"] and self._since[1] >= data["offset"]:
                self.repeated += 1
            self._since = [data["epoch"], data["offset"]]
            line = json.loads(data["text"])
            with self._lock:
                self._said.pop(line["id"], None)
            if line["id"] not in self._shown:
                self._shown.add(line["id"])
                self.lines.append((line["name"], line["text"]))
