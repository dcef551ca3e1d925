"""The Django example, and what its signals say about threads."""

import json
import threading

from django.contrib.auth import get_user_model
from django.core.signals import request_finished, request_started

from examples.django_mixed.routing import routes as example_routes
from uvicorn import Router, route

seen = []


def note(signal_name):
    def receive(**_):
        seen.append([signal_name, threading.current_thread().name])

    return receive


started, finished = note("started"), note("finished")
request_started.connect(started)
request_finished.connect(finished)


async def signals(message):
    """Tell which signals fired where since the last time."""
    content = json.dumps(seen).encode()
    seen.clear()
    message["reply_channel"].send({"status": 200, "content": content})


def make_user():
    model = get_user_model()
    if not model.objects.filter(username="ann").exists():
        model.objects.create_user("ann", password="secret of ann")


routes = Router([route("http.request", signals, path="^/signals$"), *example_routes], on_startup=make_user)
