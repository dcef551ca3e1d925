"""Views as consumers, layers and routes, without a server."""

import warnings

from channels import Channel, channel_layers
from channels.asgi import ChannelLayerManager, InvalidChannelLayerError, get_channel_layer
from channels.exceptions import RequestAborted, RequestTimeout
from channels.handler import AsgiHandler, AsgiRequest, ViewConsumer
from channels.message import Message
from channels.routing import Router, route
from channels.staticfiles import StaticFilesConsumer
from channels.test import ChannelTestCase, Client, WSClient, apply_routes
from django.core.signals import request_finished, request_started
from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.urls import reverse


class RequestTests(ChannelTestCase):
    def request(self, **content):
        made = {"reply_channel": "test", "http_version": "1.1", "method": "POST", "path": b"/test/".decode()}
        Channel("test").send({**made, **content})
        return AsgiRequest(self.get_next_message("test", require=True))

    def test_least(self):
        request = AsgiRequest(Message({"path": "/test/"}, "test", channel_layers["default"]))
        self.assertEqual(
            (request.path, request.method, request.body, request.META["SERVER_PORT"]), ("/test/", "GET", b"", "0")
        )
        self.assertIsNone(request.reply_channel)

    def test_most(self):
        request = self.request(
            root_path="/path/to",
            path="/path/to/test/",
            query_string=b"x=1&y=%26foo%2Fbar",
            headers={"host": "example.org", "cookie": b"a=b", "content-type": "application/x-www-form-urlencoded"},
            body=b"djangoponies=are+awesome",
            client=["10.0.0.1", 1234],
            server=["10.0.0.2", 80],
        )
        self.assertEqual((request.path_info, request.GET["y"], request.COOKIES), ("/test/", "&foo/bar", {"a": "b"}))
        self.assertEqual((request.POST["djangoponies"], request.get_host()), ("are awesome", "example.org"))
        self.assertEqual((request.META["REMOTE_ADDR"], request.META["SERVER_PORT"]), ("10.0.0.1", "80"))
        self.assertEqual(request.reply_channel.name, "test")

    def test_a_body_in_pieces(self):
        for more, content in ((True, b"there "), (False, b"you")):
            Channel("test-input").send({"content": content, "more_content": more})
        self.assertEqual(self.request(body=b"hello ", body_channel="test-input").body, b"hello there you")

    def test_a_body_that_does_not_come(self):
        Channel("test-input").send({"closed": True})
        with self.assertRaises(RequestAborted):
            self.request(body_channel="test-input")
        AsgiRequest.body_receive_timeout = 0
        try:
            with self.assertRaises(RequestTimeout):
                self.request(body_channel="test-input")
            replies = list(AsgiHandler()(self.message(body_channel="test-input")))
            self.assertEqual(replies[0]["status"], 408)
            Channel("test-input").send({"closed": True})
            self.assertEqual(list(AsgiHandler()(self.message(body_channel="test-input"))), [])
        finally:
            del AsgiRequest.body_receive_timeout
            AsgiRequest.body_receive_timeout = 60

    def message(self, **content):
        made = {"reply_channel": "test", "method": "GET", "path": "/whoami", "headers": [(b"host", b"example.org")]}
        return Message({**made, **content}, "http.request", channel_layers["default"])


class ResponseTests(ChannelTestCase):
    def ask(self, consumer, path, **content):
        client = Client()
        made = {"method": "GET", "path": path, "headers": [(b"host", b"example.org")]}
        with apply_routes([route("http.request", consumer)]):
            client.send_and_consume("http.request", {**made, **content})
        replies = []
        while (reply := client.receive()) is not None:
            replies.append(reply)
        return replies

    def test_a_view(self):
        [reply] = self.ask(ViewConsumer(), "/whoami")
        self.assertEqual((reply["status"], reply["content"]), (200, b"nobody"))
        [reply] = self.ask(ViewConsumer(), "/nowhere")
        self.assertEqual(reply["status"], 404)

    def test_a_view_that_answers_later(self):
        seen = []

        def note(signal, **kwargs):
            seen.append(signal)

        request_started.connect(note)
        request_finished.connect(note)
        try:
            self.assertEqual(self.ask(ViewConsumer(), "/later", query_string="text=hello"), [])
        finally:
            request_started.disconnect(note)
            request_finished.disconnect(note)
        self.assertEqual(seen, [request_started, request_finished])
        sent = self.get_next_message("answers", require=True)
        self.assertEqual(sent["text"], "hello")

    def test_what_cannot_be_decoded(self):
        [reply] = self.ask(ViewConsumer(), "/whoami", query_string=b"\xff")
        self.assertEqual(reply["status"], 400)

    def test_static_files(self):
        with self.settings(STATIC_URL="/static/", DEBUG=True):
            consumer = StaticFilesConsumer()
            [reply] = self.ask(consumer, "/whoami")
            self.assertEqual(reply["content"], b"nobody")
            [reply] = self.ask(consumer, "/static/none.css")
            self.assertEqual(reply["status"], 404)

    def test_pieces(self):
        class Handler(AsgiHandler):
            chunk_size = 2

        def pieces(response):
            return [(reply["content"], reply["more_content"]) for reply in Handler.encode_response(response)]

        self.assertEqual(pieces(HttpResponse(b"abc")), [(b"ab", True), (b"c", False)])
        self.assertEqual(pieces(HttpResponse()), [(b"", False)])
        streamed = StreamingHttpResponse(iter([b"abc", b"d"]))
        self.assertEqual(pieces(streamed), [(b"ab", True), (b"c", True), (b"d", True), (b"", False)])
        with open(__file__, "rb") as file:
            self.assertTrue(pieces(FileResponse(file))[-1], (b"", False))
        response = HttpResponse(b"", content_type="text/css")
        response.set_cookie("a", "b")
        [reply] = Handler.encode_response(response)
        self.assertEqual(reply["headers"], [(b"Content-Type", b"text/css"), (b"Set-Cookie", b"a=b; Path=/")])


class PrefixTests(ChannelTestCase):
    def links(self, **content):
        made = Message({"path": "/nowhere", **content}, "http.request", channel_layers["default"])
        list(AsgiHandler()(made))
        return reverse("whoami")

    def test_links_begin_with_the_prefix_of_the_settings_or_of_the_server(self):
        self.assertEqual(self.links(), "/whoami")
        self.assertEqual(self.links(root_path="/of/server"), "/of/server/whoami")
        with self.settings(FORCE_SCRIPT_NAME="/of/settings"):
            self.assertEqual(self.links(), "/of/settings/whoami")
            self.assertEqual(self.links(root_path="/of/server"), "/of/settings/whoami")


class LayerTests(ChannelTestCase):
    def test_the_layer_of_the_settings(self):
        manager = ChannelLayerManager()
        layer = manager["default"]
        self.assertEqual(
            (layer.alias, layer.routing, "default" in manager), ("default", "legacy.routing.channel_routing", True)
        )
        self.assertIn("chat.receive", layer.router.channels)
        self.assertEqual(str(layer), "default (ServerLayer)")
        self.assertTrue(layer.local_only())
        for call in (
            lambda: layer.receive_many(["a"]),
            lambda: layer.new_channel("a?"),
            lambda: layer.flush(),
        ):
            with self.assertRaises(NotImplementedError):
                call()
        with self.assertRaises(ValueError):
            layer.send("asgi.delay", {"channel": "a"})
        self.assertIs(get_channel_layer(), channel_layers["default"].channel_layer)

    def test_settings_that_are_wrong(self):
        for config in (
            {},
            {"default": {"ROUTING": []}},
            {"default": {"BACKEND": "asgiref.inmemory.ChannelLayer"}},
            {"default": {"BACKEND": "asgi_rabbitmq.RabbitmqChannelLayer", "ROUTING": []}},
            {"default": {"BACKEND": None, "ROUTING": []}},
            {
                "default": {
                    "BACKEND": "asgi_redis.RedisChannelLayer",
                    "ROUTING": [],
                    "CONFIG": {"hosts": [("a", 1), ("b", 2)]},
                }
            },
        ):
            with self.settings(CHANNEL_LAYERS=config or {"other": {}}), self.assertRaises(InvalidChannelLayerError):
                ChannelLayerManager()["default"]

    def test_the_hosts_of_redis(self):
        for hosts, url in (
            ([("redis.example", 6380)], "redis://redis.example:6380/0"),
            ([("::1", 6379)], "redis://[::1]:6379/0"),
            (["rediss://:secret@redis.example/2"], "rediss://:secret@redis.example/2"),
            (None, "redis://localhost:6379/0"),
        ):
            config = {"BACKEND": "asgi_redis.RedisChannelLayer", "CONFIG": {"hosts": hosts}, "ROUTING": []}
            config["TEST_CONFIG"] = {}
            with self.settings(CHANNEL_LAYERS={"default": config}):
                self.assertEqual(ChannelLayerManager()["default"].url, url)
                self.assertEqual(ChannelLayerManager().make_test_backend("default").url, "redis://localhost:6379/0")
        with self.assertRaises(InvalidChannelLayerError):
            ChannelLayerManager().make_test_backend("default")

    def test_sentinels_and_a_prefix(self):
        config = {"hosts": [("a", 26379), ("::1", 26380)], "services": ["mymaster"], "prefix": "chat"}
        layer = {"BACKEND": "asgi_redis.RedisSentinelChannelLayer", "CONFIG": config, "ROUTING": []}
        with self.settings(CHANNEL_LAYERS={"default": layer}):
            url = ChannelLayerManager()["default"].url
        self.assertEqual(url, "redis+sentinel://a:26379,[::1]:26380/mymaster/0?prefix=chat")

    def test_a_table_in_memory(self):
        layer = channel_layers["default"]
        name = layer.new_channel("websocket.send!")
        layer.group_add("group", name)
        self.assertEqual(layer.group_channels("group"), [name])
        layer.send_group("group", {"a": 1})
        self.assertEqual(layer.receive(["websocket.send!"]), (name, {"a": 1}))
        layer.group_discard("group", name)
        layer.group_discard("group", name)
        self.assertEqual(layer.group_channels("group"), [])
        self.assertEqual(layer.receive(["a", "b"]), (None, None))
        layer.channel_layer.expiry = layer.channel_layer.group_expiry = 0
        layer.send("a", {})
        layer.group_add("group", name)
        self.assertEqual(layer.receive(["a"]), (None, None))
        self.assertEqual(layer.group_channels("group"), [])

    def test_the_defaults_of_routes(self):
        router = Router([route("work", "channels.routing.null_consumer")])
        router.check_default()
        layer = channel_layers["default"]
        for channel in ("http.request", "websocket.connect", "websocket.receive", "websocket.disconnect", "work"):
            self.assertIsNotNone(router.match(Message({"path": "/"}, channel, layer)), channel)
        client = WSClient()
        with apply_routes(router.root.routing):
            client.send_and_consume("websocket.connect")
            client.send_and_consume("websocket.receive", text="a")
            client.set_header("host", b"example.org")
            client.send_and_consume("http.request", path="/nowhere")
            self.assertEqual(client.receive()["status"], 404)


class ImportTests(ChannelTestCase):
    def test_what_is_gone_says_why(self):
        for name in ("worker", "delay.worker", "delay.models", "test.liveserver", "log"):
            with self.assertRaisesRegex(ImportError, "is not there: "):
                __import__("channels.%s" % name)
        with self.assertRaises(ImportError):
            from channels.test import ChannelLiveServerTestCase
        with self.assertRaises(ImportError):
            import channels.nothing

    def test_a_module_has_one_identity(self):
        import channels.generic.websockets
        import channels.tests
        import uvicorn.channels1.generic.websockets

        self.assertIs(channels.generic.websockets, uvicorn.channels1.generic.websockets)
        self.assertIs(channels.tests.WSClient, WSClient)
        self.assertEqual(channels.__version__, "1.1.8")
        self.assertEqual(uvicorn.channels1.generic.websockets.__spec__.name, "uvicorn.channels1.generic.websockets")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from channels.test.http import HttpClient
        self.assertIs(HttpClient, WSClient)
