"""Generic consumers without a server."""

from channels import route_class
from channels.exceptions import SendNotAvailableOnDemultiplexer
from channels.generic import BaseConsumer, websockets
from channels.test import ChannelTestCase, Client, WSClient, apply_routes
from django.contrib.auth import get_user_model

from . import consumers


class GenericTests(ChannelTestCase):
    def test_a_base_consumer(self):
        class Consumers(BaseConsumer):
            method_mapping = {"test.create": "create", "test.test": "test"}

            def create(self, message, **kwargs):
                self.called = "create"

            def test(self, message, **kwargs):
                self.called = "test"

        self.assertEqual(Consumers.channel_names(), {"test.create", "test.test"})
        with apply_routes([route_class(Consumers)]):
            client = Client()
            self.assertEqual(client.send_and_consume("test.create").called, "create")
            self.assertEqual(client.send_and_consume("test.test").called, "test")

    def test_sockets_with_groups(self):
        class Consumer(websockets.WebsocketConsumer):
            groups = ["chat"]

            def receive(self, text=None, bytes=None, **kwargs):
                self.group_send("chat", bytes=bytes) if text is None else self.group_send("chat", text=text)

        with apply_routes([route_class(Consumer, path="/path")]):
            client = WSClient()
            client.send_and_consume("websocket.connect", path="/path")
            client.send_and_consume("websocket.receive", text="hello", path="/path")
            self.assertEqual(client.receive(json=False), "hello")
            client.send_and_consume("websocket.receive", {"bytes": b"abc"}, path="/path")
            self.assertEqual(client.receive(), {"bytes": b"abc"})
            done = client.send_and_consume("websocket.disconnect", path="/path")
            self.assertEqual(done.path, "/path")
            Consumer.group_send("chat", text="nobody", close=True)
            self.assertIsNone(client.receive())
            with self.assertRaises(ValueError):
                done.send()
            done.send(text="a", close=4000)
            done.close()
            self.assertEqual(client.receive(json=False), "a")
            self.assertEqual(client.receive(), {"close": True})

    def test_users_and_sessions(self):
        user = get_user_model().objects.create(username="ann")
        for name in ("http_user", "http_user_and_session", "channel_session_user", "channel_session"):

            class Consumer(websockets.WebsocketConsumer):
                def receive(self, text=None, **kwargs):
                    self.message.channel_session["text"] = text

            client = WSClient()
            client.force_login(user)
            with apply_routes([Consumer.as_route(attrs={name: True, "strict_ordering": False})]):
                client.send_and_consume("websocket.connect")
                done = client.send_and_consume("websocket.receive", text="hello")
                self.assertEqual(done.message.channel_session["text"], "hello")
                self.assertEqual(hasattr(done.message, "user"), name != "channel_session")
                self.assertEqual(hasattr(done.message, "http_session"), name.startswith("http"))

    def test_slight_ordering_is_refused(self):
        class Consumer(websockets.WebsocketConsumer):
            slight_ordering = True

        with apply_routes([route_class(Consumer)]), self.assertRaises(ValueError):
            WSClient().send_and_consume("websocket.connect")

    def test_json(self):
        with apply_routes([route_class(consumers.JsonConsumer)]):
            client = WSClient()
            client.send_and_consume("websocket.connect")
            client.send_and_consume("websocket.receive", text={"key": "value"})
            self.assertEqual(client.receive(), {"got": {"key": "value"}})
            with self.assertRaises(ValueError):
                client.send_and_consume("websocket.receive", {"bytes": b"abc"})
        client.join_group("json")
        consumers.JsonConsumer.group_send("json", [1], close=True)
        self.assertEqual(client.receive(), [1])

    def test_streams(self):
        with apply_routes([route_class(consumers.Demultiplexer, path="/path/(?P<id>[0-9]+)")]):
            client = WSClient()
            client.send_and_consume("websocket.connect", path="/path/1")
            self.assertEqual(client.receive()["payload"], {"status": "I just connected!"})
            text = {"stream": "echo", "payload": {"hello": "world"}}
            client.send_and_consume("websocket.receive", path="/path/1", text=text)
            payload = {"original_message": {"hello": "world"}}
            self.assertEqual(client.receive(), {"stream": "echo", "payload": payload})
            text = {"stream": "other", "payload": {}}
            with self.assertRaises(SendNotAvailableOnDemultiplexer):
                client.send_and_consume("websocket.receive", path="/path/1", text=text)
            for wrong in ({"stream": "none", "payload": {}}, {"stream": "echo", "payload": 1}, {"stream": "echo"}, 1):
                with self.assertRaises(ValueError):
                    client.send_and_consume("websocket.receive", path="/path/1", text=wrong)
            client.send_and_consume("websocket.disconnect", path="/path/1")
        with self.assertRaises(SendNotAvailableOnDemultiplexer):
            consumers.Demultiplexer.group_send("name", "echo", {})
        client.join_group("group")
        websockets.WebsocketMultiplexer.group_send("group", "echo", {"a": 1}, close=True)
        self.assertEqual(client.receive(), {"stream": "echo", "payload": {"a": 1}})
        self.assertEqual(consumers.AnotherConsumer.send.__qualname__, "JsonWebsocketConsumer.send")
