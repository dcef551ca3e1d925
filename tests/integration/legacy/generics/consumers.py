"""The page "Generic consumers"."""

from channels.exceptions import WebsocketCloseException
from channels.generic import BaseConsumer
from channels.generic.websockets import JsonWebsocketConsumer, WebsocketConsumer, WebsocketDemultiplexer


class MyConsumer(WebsocketConsumer):
    # Set to True to automatically port users from HTTP cookies (you don't need channel_session_user, this implies it)
    http_user = True
    # Set to True if you want it, else leave it out
    strict_ordering = False

    def connection_groups(self, **kwargs):
        return ["test"]

    def connect(self, message, **kwargs):
        self.message.reply_channel.send({"accept": True})

    def receive(self, text=None, bytes=None, **kwargs):
        if text == "fail":
            raise RuntimeError("as it was asked")
        if text == "close":
            raise WebsocketCloseException(4001)
        if text is not None:
            self.group_send("test", text="%s %s %s" % (kwargs["number"], self.message.user.username, text))
        else:
            self.send(bytes=bytes[::-1])

    def disconnect(self, message, **kwargs):
        self.group_send("test", text="%s left" % self.message.user.username)


class SessionConsumer(WebsocketConsumer):
    http_user_and_session = True
    strict_ordering = True

    def receive(self, text=None, bytes=None, **kwargs):
        seen = self.message.channel_session.get("seen", 0) + 1
        self.message.channel_session["seen"] = seen
        self.send(text="%s %s %s" % (seen, self.message.user.username, self.message.http_session.session_key))


class JsonConsumer(JsonWebsocketConsumer):
    def receive(self, content, **kwargs):
        self.send({"got": content}, close=content == "bye")


class EchoConsumer(JsonWebsocketConsumer):
    def connect(self, message, multiplexer, **kwargs):
        # Send data with the multiplexer
        multiplexer.send({"status": "I just connected!"})

    def disconnect(self, message, multiplexer, **kwargs):
        print("Stream %s is closed" % multiplexer.stream)

    def receive(self, content, multiplexer, **kwargs):
        # Simple echo
        multiplexer.send({"original_message": content})


class AnotherConsumer(JsonWebsocketConsumer):
    def connect(self, message, multiplexer=None, **kwargs):
        pass

    def receive(self, content, multiplexer=None, **kwargs):
        self.send(content)


class Demultiplexer(WebsocketDemultiplexer):
    # Wire your JSON consumers here: {stream_name: consumer}
    consumers = {
        "echo": EchoConsumer,
        "other": AnotherConsumer,
    }


class Page(BaseConsumer):
    method_mapping = {"http.request": "respond"}
    greeting = "page"

    def respond(self, message, number):
        text = "%s %s" % (self.greeting, number)
        message.reply_channel.send(
            {"status": 200, "status_text": b"OK", "content": text.encode(), "headers": {"x-greeting": self.greeting}}
        )
