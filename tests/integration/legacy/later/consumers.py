from channels import Channel
from channels.handler import AsgiHandler
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.http import HttpResponse


def answer(message):
    response = HttpResponse("later: %s" % message["text"])
    for chunk in AsgiHandler.encode_response(response):
        message.reply_channel.send(chunk)


def connections(message):
    """Tell whether this thread has a connection to the database, and make one."""
    had = connection.connection is not None
    ContentType.objects.count()
    message.reply_channel.send({"status": 200, "content": b"yes" if had else b"no"})


def remind(message):
    delayed_message = {
        "channel": "reminders",
        "content": {"reply_channel": message.content["reply_channel"], "text": message["text"]},
        "delay": 50,
    }
    Channel("asgi.delay").send(delayed_message, immediately=True)


def reminder(message):
    message.reply_channel.send({"text": "remember %s" % message["text"]})
