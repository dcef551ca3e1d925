"""The page "Testing consumers", and the decorators."""

import sys
from unittest.mock import patch

from channels import Channel, Group, route
from channels.asgi import channel_layers
from channels.auth import channel_session_user, http_session_user, transfer_user
from channels.exceptions import DenyConnection, WebsocketCloseException
from channels.management.commands.runserver import Command
from channels.message import pending_message_store
from channels.security.websockets import allowed_hosts_only
from channels.sessions import (
    channel_and_http_session,
    channel_session,
    enforce_ordering,
    http_session,
    session_for_reply_channel,
)
from channels.signals import consumer_finished, consumer_started
from channels.test import ChannelTestCase, Client, HttpClient, WSClient, apply_routes
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.management import call_command, get_commands
from django.db import connection
from django.test import SimpleTestCase

from .models import ChatMessage


class MessagesTests(ChannelTestCase):
    def test_a_channel(self):
        # This goes onto an in-memory channel, not the real backend.
        Channel("some-channel").send({"foo": "bar"})
        message = self.get_next_message("some-channel", require=True)
        self.assertEqual(message.content, {"foo": "bar"})
        self.assertEqual((message.channel.name, message["foo"], "foo" in message), ("some-channel", "bar", True))
        self.assertIsNone(self.get_next_message("some-channel"))
        with self.assertRaises(AssertionError):
            self.get_next_message("some-channel", require=True)

    def test_a_group(self):
        Group("test-group").add("test-channel")
        Group("test-group").send({"value": 42})
        Group(b"test-group").discard("test-channel")
        Group("test-group").send({"value": 43})
        self.assertEqual(self.get_next_message("test-channel", require=True)["value"], 42)
        self.assertIsNone(self.get_next_message("test-channel"))

    def test_a_channel_is_full(self):
        for number in range(10):
            Channel("full").send({"number": number})
        with self.assertRaises(channel_layers["default"].ChannelFull):
            Channel("full").send({})
        channel_layers["default"].flush()
        self.assertIsNone(self.get_next_message("full"))

    def test_what_is_no_message(self):
        with self.assertRaises(TypeError):
            Channel("some-channel").send("text")
        with self.assertRaises(ValueError):
            Group("some-group").send("text")
        for name in ("a b", "x" * 100, "caf\xe9"):
            with self.assertRaises(TypeError):
                Channel(name).send({})

    def test_a_delay(self):
        Channel("later").send({"a": 1}, delay=1.5)
        delayed = self.get_next_message("asgi.delay", require=True).content
        self.assertEqual(delayed, {"channel": "later", "content": {"a": 1}, "delay": 1500})


class ConsumerTests(ChannelTestCase):
    def test_a_consumer(self):
        client = Client()
        client.join_group("chat-blue")
        client.send_and_consume("chat-messages", {"room": "blue", "message": "hello"})
        self.assertEqual(client.receive(), {"text": "hello"})
        self.assertEqual(ChatMessage.objects.get().message, "hello")
        self.assertIsNone(client.receive())

    def test_what_a_consumer_sends_waits_until_it_returns(self):
        seen = []

        def consumer(message):
            Channel("first").send({"number": 1})
            Channel("second").send({"number": 2}, immediately=True)
            seen.append((pending_message_store.active, self.get_next_message("first"), self.get_next_message("second")))

        with apply_routes([route("work", consumer)]):
            Client().send_and_consume("work")
        [(active, first, second)] = seen
        self.assertEqual((active, first, second["number"]), (True, None, 2))
        self.assertEqual(self.get_next_message("first", require=True)["number"], 1)
        self.assertFalse(pending_message_store.active)

    def test_what_a_consumer_sends_is_dropped_if_it_raises(self):
        def consumer(message):
            Channel("first").send({"number": 1})
            raise KeyError("a mistake")

        with apply_routes(route("work", consumer)), self.assertRaises(KeyError):
            Client().send_and_consume("work")
        self.assertIsNone(self.get_next_message("first"))
        self.assertFalse(pending_message_store.active)

    def test_nobody_takes_what_a_consumer_sends(self):
        def consumer(message):
            for _ in range(12):
                Channel("full").send({})
            Channel("last").send({})

        pending_message_store.retry_time = pending_message_store.retry_interval = 0
        try:
            with apply_routes([[route("work", consumer)]]), self.assertRaises(RuntimeError):
                Client().send_and_consume("work")
        finally:
            del pending_message_store.retry_time, pending_message_store.retry_interval
        self.assertIsNotNone(self.get_next_message("last"))

    def test_signals_are_sent_around_a_consumer_and_its_transaction_lives(self):
        seen = []

        def note(signal, **kwargs):
            seen.append(signal)

        def consumer(message):
            seen.append("consumer")

        consumer_started.connect(note)
        consumer_finished.connect(note)
        try:
            with apply_routes([route("work", consumer)]):
                Client().send_and_consume("work")
        finally:
            consumer_started.disconnect(note)
            consumer_finished.disconnect(note)
        self.assertEqual(seen, [consumer_started, "consumer", consumer_finished])
        self.assertIsNotNone(connection.connection)

    def test_messages_that_nobody_consumes(self):
        client = Client()
        with self.assertRaises(AssertionError):
            client.consume("chat-messages")
        self.assertIsNone(client.consume("chat-messages", fail_on_none=False))
        client.send("nowhere")
        with self.assertRaises(AssertionError):
            client.consume("nowhere")
        self.assertIsNone(client.send_and_consume("nowhere", fail_on_none=False))
        self.assertIsNone(client.get_consumer_by_channel("nowhere"))
        self.assertEqual(client.get_consumer_by_channel("chat-messages").__name__, "msg_consumer")

    def test_exceptions_of_sockets(self):
        def close(message):
            raise WebsocketCloseException(4000)

        def deny(message):
            raise DenyConnection()

        with apply_routes([route("websocket.receive", close), route("websocket.connect", deny)]):
            client = WSClient()
            client.reply_channel = "websocket.send!one"
            with self.assertRaises(AssertionError):
                client.send_and_consume("websocket.connect")
            client.send_and_consume("websocket.connect", check_accept=False)
            self.assertEqual(client.receive(), {"close": True})
            client.send_and_consume("websocket.receive", text="x")
            self.assertEqual(client.receive(), {"close": 4000})
        with apply_routes([route("work", deny), route("other", close)]):
            for channel in ("work", "other"):
                with self.assertRaises(ValueError):
                    Client().send_and_consume(channel)
        for code in (1001, 999, 5000, "a"):
            with self.assertRaises(ValueError):
                WebsocketCloseException(code)


class Sessions(ChannelTestCase):
    def test_a_session_of_a_socket_is_kept(self):
        client = WSClient()
        client.send_and_consume("websocket.connect", path="/started/room/blue", check_accept=False)
        client.send_and_consume("websocket.receive", text="hello", path="/started/room/blue")
        self.assertEqual(self.get_next_message("chat-messages", require=True).content["room"], "blue")
        self.assertEqual(session_for_reply_channel(client.reply_channel)["room"], "blue")

    def test_a_session_needs_a_reply_channel_and_a_message(self):
        @channel_session
        def consumer(message):
            message.channel_session["a"] = 1

        with self.assertRaises(ValueError):
            consumer("no message")
        with apply_routes([route("work", consumer)]), self.assertRaises(ValueError):
            channel_layers["default"].send("work", {})
            Client().consume("work")

    def test_a_session_is_saved_when_its_consumer_raises(self):
        @channel_session
        def consumer(message):
            message.channel_session["a"] = 1
            raise KeyError

        client = WSClient()
        with apply_routes([route("work", consumer)]), self.assertRaises(KeyError):
            client.send_and_consume("work")
        self.assertEqual(session_for_reply_channel(client.reply_channel)["a"], 1)

    def test_sessions_are_not_kept_in_cookies(self):
        with self.settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies"):
            with self.assertRaises(ValueError):
                WSClient().session

    def test_the_session_of_the_browser(self):
        seen = []

        @http_session
        def consumer(message):
            seen.append(message.http_session and message.http_session.get("a"))
            if message.http_session is not None:
                message.http_session["b"] = 2

        client = WSClient()
        client.session["a"] = 1
        client.session.save()
        with apply_routes([route("websocket.connect", consumer)]):
            client.send_and_consume("websocket.connect", check_accept=False)
            client.send_and_consume("websocket.connect", check_accept=False)  # the cookie was sent once
            key = client.session.session_key
            client.send_and_consume("websocket.connect", path="/?session_key=%s" % key, check_accept=False)
        self.assertEqual(seen, [1, None, 1])
        self.assertEqual(type(client.session)(session_key=key)["b"], 2)
        with self.assertRaises(ValueError), apply_routes([route("work", consumer)]):
            Client().send_and_consume("work")

    def test_both_sessions(self):
        seen = []

        @channel_and_http_session
        def consumer(message):
            seen.append(message.http_session["a"])
            message.channel_session["c"] = 3

        client = WSClient()
        client.session["a"] = 1
        client.session.save()
        with apply_routes([route(["websocket.connect", "websocket.receive"], consumer)]):
            client.send_and_consume("websocket.connect", check_accept=False)
            client.send_and_consume("websocket.receive", text="x")
        self.assertEqual(seen, [1, 1])

    def test_a_method_and_a_consumer_that_is_decorated_twice(self):
        class Consumer(object):
            @channel_session
            @channel_session
            def consume(self, message, word):
                message.channel_session["word"] = word

        client = WSClient()
        with apply_routes([route("work", Consumer().consume, word="(?P<word>.*)")]):
            client.send_and_consume("work", {"word": "hello"})
        self.assertEqual(session_for_reply_channel(client.reply_channel)["word"], "hello")

    def test_messages_that_come_too_early_wait(self):
        seen = []

        @enforce_ordering()
        def consumer(message):
            seen.append(message["order"])

        client = WSClient()
        with apply_routes([route("websocket.receive", consumer)]):
            for order in (2, 1, 0):
                client.send_and_consume("websocket.receive", {"order": order})
            self.assertEqual(seen, [0])
            for _ in range(4):
                client.consume("websocket.receive", fail_on_none=False)
            self.assertEqual(seen, [0, 1, 2])
            with self.assertRaises(ValueError):
                client.send_and_consume("websocket.receive")
        with self.assertRaises(ValueError):
            enforce_ordering(consumer, slight=True)

    def test_a_client_counts(self):
        client = WSClient(ordered=True)
        client.send_and_consume("websocket.connect", path="/started/ordered")
        client.send_and_consume("websocket.receive", text="a", path="/started/ordered")
        client.send_and_consume("websocket.receive", text="b", path="/started/ordered")
        self.assertEqual([client.receive(json=False), client.receive(json=False)], ["1 a", "2 b"])
        with self.assertRaises(ValueError):
            client.send("websocket.receive", {"order": 7})


class Users(ChannelTestCase):
    def setUp(self):
        self.user = get_user_model().objects.create_user("ann", password="secret of ann")

    def test_a_user_who_logs_in(self):
        for log_in in (
            lambda client: self.assertTrue(client.login(username="ann", password="secret of ann")),
            lambda client: client.force_login(self.user),
        ):
            client = HttpClient()
            log_in(client)
            client.send_and_consume("websocket.connect", path="/started/user")
            client.send_and_consume("websocket.receive", text="hello", path="/started/user")
            self.assertEqual(client.receive(json=False), "ann: hello")
            client.send_and_consume("websocket.disconnect", path="/started/user")

    def test_nobody(self):
        client = WSClient()
        self.assertFalse(client.login(username="ann", password="wrong"))
        client.send_and_consume("websocket.connect", path="/started/user")
        client.send_and_consume("websocket.receive", text="hello", path="/started/user")
        self.assertEqual(client.receive(json=False), "nobody: hello")

    def test_decorators(self):
        seen = []

        @http_session_user
        @channel_session
        def of_browser(message):
            transfer_user(message.http_session or {}, message.channel_session)
            seen.append(message.user.username)

        @channel_session_user
        def of_socket(message):
            seen.append(message.user.username)

        client = WSClient()
        client.force_login(self.user)
        with apply_routes([route("websocket.connect", of_browser), route("websocket.receive", of_socket)]):
            client.send_and_consume("websocket.connect", check_accept=False)
            client.send_and_consume("websocket.receive")
            WSClient().send_and_consume("websocket.receive")
            Client().send_and_consume("websocket.connect", {"path": "/", "method": "GET"})
        self.assertEqual(seen, ["ann", "ann", "", ""])


class Origins(ChannelTestCase):
    def ask(self, origin, **settings):
        @allowed_hosts_only
        def consumer(message):
            message.reply_channel.send({"accept": True})

        client = WSClient()
        if origin is not None:
            client.set_header("origin", origin)
        with apply_routes([route("websocket.connect", consumer)]), self.settings(**settings):
            headers = [(name.encode(), value) for name, value in client.headers.items()]
            client.send_and_consume("websocket.connect", {"headers": headers}, check_accept=False)
        return client.receive() == {"accept": True}

    def test_origins(self):
        for origin, is_allowed in [
            (b"http://example.org", True),
            (b"https://example.org:8443", True),
            (b"http://evil.example", False),
            (b"null", False),
            (b"", False),
            (b"http://[", False),
            (b"http://caf\xe9.example", False),
            (None, False),
        ]:
            self.assertIs(self.ask(origin), is_allowed, origin)
        for origin in (b"http://localhost", b"http://127.0.0.1:8000", b"http://[::1]:8000"):
            self.assertTrue(self.ask(origin, ALLOWED_HOSTS=[], DEBUG=True), origin)


@apply_routes([route("work", lambda message: message.reply_channel.send({"done": True}))])
class RoutesOfAClass(ChannelTestCase):
    def test_they_are_there(self):
        client = Client()
        client.send_and_consume("work")
        self.assertEqual(client.receive(), {"done": True})

    @apply_routes([route("other", lambda message: message.reply_channel.send({"other": True}))])
    def test_others_are_there(self):
        client = Client()
        client.send_and_consume("other")
        self.assertEqual(client.receive(), {"other": True})
        self.assertIsNone(client.get_consumer_by_channel("work"))


class Runserver(SimpleTestCase):
    def words(self, *args):
        with patch("os.execv") as become:
            call_command("runserver", *args)
        return become.call_args.args[1][4:]

    def test_it_is_this_server_wherever_channels_stands_in_installed_apps(self):
        with patch("sys.argv", ["manage.py", "runserver"]):
            apps.get_app_config("channels").ready()
        self.assertEqual(get_commands()["runserver"], "channels")
        app = ["--factory", "channels.asgi:get_channel_layer", "--app-dir", sys.path[0]]
        at = ["--host", "127.0.0.1", "--port", "8000"]
        self.assertEqual(self.words(), app + at + ["--reload", "--reload-dir", sys.path[0]])
        self.assertEqual(self.words("--noreload", "--noworker", "--http_timeout", "5"), app + at)
        at = ["--host", "::1", "--port", "8001"]
        self.assertEqual(self.words("[::1]:8001", "--noreload", "--nothreading"), app + at + ["--threads", "1"])

    def test_it_is_that_of_django_if_it_is_asked_to(self):
        with patch("django.core.management.commands.runserver.Command.inner_run") as run:
            call_command(Command(), "--noasgi", "--noreload")
        run.assert_called_once()
