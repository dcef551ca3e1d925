"""Data binding without a server."""

from channels import Group, route
from channels.auth import transfer_user
from channels.binding.base import Binding, BindingMetaclass
from channels.binding.websockets import WebsocketBinding, WebsocketBindingWithMembers
from channels.sessions import session_for_reply_channel
from channels.test import ChannelTestCase, TransactionChannelTestCase, WSClient, apply_routes
from django.contrib.auth import get_user_model
from django.db.models import signals

from .bindings import Demultiplexer, IntegerValueBinding
from .models import IntegerValue


class Bound(object):
    """Bindings that are connected for one test."""

    def setUp(self):
        self.receivers = [list(signal.receivers) for signal in self.signals()]

    def tearDown(self):
        for signal, receivers in zip(self.signals(), self.receivers, strict=True):
            signal.receivers[:] = receivers
            signal.sender_receivers_cache.clear()

    def signals(self):
        return [signals.pre_save, signals.post_save, signals.pre_delete, signals.post_delete]


class OutboundTests(Bound, ChannelTestCase):
    def test_groups_that_an_object_comes_into_and_leaves(self):
        class Even(WebsocketBinding):
            model = IntegerValue
            stream = "even"
            exclude = ["id"]

            @classmethod
            def group_names(cls, instance):
                [stored] = IntegerValue.objects.filter(pk=instance.pk).values_list("value", flat=True)
                return ["even"] if stored % 2 == 0 else []

        client = WSClient()
        client.join_group("even")
        value = IntegerValue.objects.create(name="a", value=1)
        self.assertIsNone(client.receive())
        for number, action in ((2, "create"), (4, "update"), (5, "delete")):
            value.value = number
            value.save()
            heard = client.receive()
            self.assertEqual((heard["stream"], heard["payload"]["action"]), ("even", action))
            self.assertEqual(heard["payload"]["data"], {"name": "a", "value": number})
        value.delete()
        self.assertIsNone(client.receive())

    def test_members(self):
        class WithMembers(WebsocketBindingWithMembers):
            model = "binding.IntegerValue"
            stream = "members"
            fields = ["__all__"]
            send_members = ["get_double", "_meta.label"]

            @classmethod
            def group_names(cls, instance):
                return ["members"]

        IntegerValue.get_double = lambda value: 2 * value.value
        try:
            client = WSClient()
            client.join_group("members")
            IntegerValue.objects.create(name="a", value=21)
            data = client.receive()["payload"]["data"]
            self.assertEqual(data, {"name": "a", "value": 21, "get_double": 42, "_meta__label": "binding.IntegerValue"})
        finally:
            del IntegerValue.get_double

    def test_nothing_to_send(self):
        class Silent(WebsocketBinding):
            model = get_user_model()
            stream = "silent"
            fields = ["username"]

            @classmethod
            def group_names(cls, instance):
                return ["silent"]

            def serialize(self, instance, action):
                return {}

        client = WSClient()
        client.join_group("silent")
        get_user_model().objects.create(username="ann")
        self.assertIsNone(client.receive())

    def test_bindings_that_say_too_little(self):
        for body in (
            {},  # no model
            {"model": IntegerValue},  # no fields
        ):
            with self.assertRaises(ValueError):
                BindingMetaclass("Wrong", (WebsocketBinding,), dict(body)).register()
            BindingMetaclass.binding_classes.pop()
        self.assertEqual(WebsocketBinding.get_registered_models(), [])


class InboundTests(Bound, TransactionChannelTestCase):
    def test_a_demultiplexer(self):
        client = WSClient()
        with apply_routes([Demultiplexer.as_route(path="/")]):
            client.send_and_consume("websocket.connect", path="/")
            for payload, count in (
                ({"action": "create", "data": {"name": "a", "value": 1}}, 1),
                ({"action": "update", "pk": 1, "data": {"value": 7}}, 1),
                ({"action": "delete", "pk": 1}, 0),
            ):
                client.send_and_consume("websocket.receive", path="/", text={"stream": "intval", "payload": payload})
                self.assertEqual(client.receive()["payload"]["action"], payload["action"])
                self.assertEqual(IntegerValue.objects.count(), count)
            with self.assertRaises(ValueError):
                wrong = {"stream": "intval", "payload": {"action": "wrong"}}
                client.send_and_consume("websocket.receive", path="/", text=wrong)
            client.send_and_consume("websocket.disconnect", path="/")
            Group("intval-updates").send({"text": "1"})
            self.assertIsNone(client.receive())

    def test_who_may_not(self):
        class Guarded(WebsocketBinding):
            model = IntegerValue
            stream = "guarded"
            fields = ["value"]
            strict_ordering = True

            @classmethod
            def group_names(cls, instance):
                return []

            def has_permission(self, user, action, pk):
                return user.is_authenticated and action == "update"

        value = IntegerValue.objects.create(name="a")
        client = WSClient(ordered=True)
        text = {"action": "update", "pk": value.pk, "data": {"value": 1, "name": "b"}}
        with apply_routes([route("websocket.receive", Guarded.consumer)]):
            client.send_and_consume("websocket.receive", text=text)
            value.refresh_from_db()
            self.assertEqual(value.value, 0)
            client = WSClient(ordered=True)
            client.force_login(get_user_model().objects.create(username="ann"))
            session = session_for_reply_channel(client.reply_channel)
            transfer_user(client.session, session)
            session.save(must_create=True)
            client.send_and_consume("websocket.receive", text=text)
            value.refresh_from_db()
            self.assertEqual((value.name, value.value), ("a", 1))

    def test_what_a_subclass_has_to_say(self):
        binding = Binding()
        for call in (
            lambda: Binding.encode("stream", {}),
            lambda: Binding.group_names(None),
            lambda: binding.serialize(None, "create"),
            lambda: binding.deserialize(None),
            lambda: binding.has_permission(None, "create", None),
            lambda: binding.create({}),
            lambda: binding.update(1, {}),
        ):
            with self.assertRaises(NotImplementedError):
                call()
        self.assertEqual(IntegerValueBinding.model_label, "binding.integervalue")
