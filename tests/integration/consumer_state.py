"""What the consumers of the integration tests share in one worker, and small helpers."""

import json
import threading
from collections import Counter
from urllib.parse import parse_qs

TEXT = [(b"content-type", b"text/plain")]
JSON = [(b"content-type", b"application/json")]
PIECE = bytes(range(256)) * 256  # 64 KiB

calls = Counter()  # name -> how often; each name is written by one thread at a time
holding = Counter()  # name -> how many wait in hold() just now
gates = {}  # name -> threading.Event; made by whoever asks first
kept = []  # reply channels that nobody will answer


def query_of(message):
    return {name: values[0] for name, values in parse_qs(message["query_string"].decode()).items()}


def gate(name):
    return gates.setdefault(name, threading.Event())


def whole(content, headers=TEXT, status=200):
    return {"status": status, "headers": headers, "content": content}


def as_json(value):
    return whole(json.dumps(value).encode(), JSON)
