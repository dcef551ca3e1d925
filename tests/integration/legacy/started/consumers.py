"""The pages "Getting started": the first consumers, groups, models, sessions, users, ordering."""

from channels import Channel, Group
from channels.auth import channel_session_user, channel_session_user_from_http
from channels.handler import AsgiHandler
from channels.security.websockets import allowed_hosts_only
from channels.sessions import channel_session, enforce_ordering
from django.http import HttpResponse

from .models import ChatMessage


# First consumers


def http_consumer(message):
    response = HttpResponse("Hello world! You asked for %s" % message.content["path"])
    for chunk in AsgiHandler.encode_response(response):
        message.reply_channel.send(chunk)


def ws_message(message):
    # ASGI WebSocket packet-received and send-packet message types both have a "text" key for their textual data.
    message.reply_channel.send(
        {
            "text": message.content["text"],
        }
    )


# Groups


def ws_add(message):
    message.reply_channel.send({"accept": True})
    Group("chat").add(message.reply_channel)


def ws_group_message(message):
    Group("chat").send(
        {
            "text": "[user] %s" % message.content["text"],
        }
    )


def ws_disconnect(message):
    Group("chat").discard(message.reply_channel)


# Models, and a channel of one's own. The connection is not accepted, as before Channels 1.0.


def msg_consumer(message):
    room = message.content["room"]
    ChatMessage.objects.create(room=room, message=message.content["message"])
    Group("chat-%s" % room).send({"text": message.content["message"]})


@channel_session
def ws_connect_to_room(message):
    room = message.content["path"].strip("/").split("/")[-1]
    message.channel_session["room"] = room
    Group("chat-%s" % room).add(message.reply_channel)


@channel_session
def ws_message_to_room(message):
    Channel("chat-messages").send(
        {
            "room": message.channel_session["room"],
            "message": message["text"],
        }
    )


@channel_session
def ws_disconnect_from_room(message):
    Group("chat-%s" % message.channel_session["room"]).discard(message.reply_channel)


# Authentication


@channel_session_user_from_http
def ws_add_user(message):
    message.reply_channel.send({"accept": True})
    Group("chat-%s" % (message.user.username or "nobody")[0]).add(message.reply_channel)


@channel_session_user
def ws_message_of_user(message):
    Group("chat-%s" % (message.user.username or "nobody")[0]).send(
        {
            "text": "%s: %s" % (message.user.username or "nobody", message["text"]),
        }
    )


@channel_session_user
def ws_disconnect_of_user(message):
    Group("chat-%s" % (message.user.username or "nobody")[0]).discard(message.reply_channel)


# Security


@allowed_hosts_only
@channel_session_user_from_http
def ws_add_allowed(message):
    message.reply_channel.send({"accept": True, "text": "allowed"})


# Enforcing ordering


@enforce_ordering
@channel_session_user_from_http
def ws_add_ordered(message):
    message.reply_channel.send({"accept": True})
    message.channel_session["count"] = 0


@enforce_ordering
@channel_session_user
def ws_message_ordered(message):
    message.channel_session["count"] += 1
    message.reply_channel.send({"text": "%s %s" % (message.channel_session["count"], message["text"])})
