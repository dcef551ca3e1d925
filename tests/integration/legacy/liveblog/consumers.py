"""Sockets that are opened and hear of what views do. Consumers of this age never accept."""

import json

from channels import Group

from .models import Liveblog


def connect_blog(message, slug):
    try:
        liveblog = Liveblog.objects.get(slug=slug)
    except Liveblog.DoesNotExist:
        message.reply_channel.send({"text": json.dumps({"error": "bad_slug"}), "close": True})
        return
    Group(liveblog.group_name).add(message.reply_channel)


def disconnect_blog(message, slug):
    try:
        liveblog = Liveblog.objects.get(slug=slug)
    except Liveblog.DoesNotExist:
        return
    Group(liveblog.group_name).discard(message.reply_channel)
