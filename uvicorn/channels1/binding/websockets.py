"""Data binding over sockets, as JSON behind a demultiplexer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.core import serializers
from django.core.serializers.json import DjangoJSONEncoder

from uvicorn.channels1.binding.base import Binding
from uvicorn.channels1.generic.multiplexing import WebsocketMultiplexer
from uvicorn.channels1.ordering import enforce_ordering

__all__ = ["WebsocketBinding", "WebsocketBindingWithMembers"]

_ALL = "__all__"


class WebsocketBinding(Binding):
    """A binding whose messages are `{"stream": ..., "payload": {"action", "pk", "data", "model"}}`.

    A subclass has `model`, `stream`, `fields` or `exclude`, `group_names`, and `has_permission` for inbound messages.
    """

    model: Any = None
    stream: Any = None
    strict_ordering = False
    slight_ordering = False

    @classmethod
    def encode(cls, stream: str, payload: Any) -> dict[str, Any]:
        """Return the message for a payload."""
        return WebsocketMultiplexer.encode(stream, payload)

    def serialize(self, instance: Any, action: str) -> Any:
        """Return the payload for an object."""
        return {
            "action": action,
            "pk": instance.pk,
            "data": self.serialize_data(instance),
            "model": self.model_label,
        }

    def serialize_data(self, instance: Any) -> dict[str, Any]:
        """Return the fields of an object that are sent, as values of JSON."""
        if self.fields is None:
            names: Any = [field.name for field in instance._meta.get_fields() if field.name not in self.exclude]
        else:
            names = None if self._has_all_fields() else self.fields
        [made] = json.loads(serializers.serialize("json", [instance], fields=names))
        fields: dict[str, Any] = made["fields"]
        return fields

    @classmethod
    def get_handler(cls) -> Callable[..., Any]:
        """Return `trigger_inbound`, in the decorators that the attributes ask for."""
        handler = super().get_handler()
        if cls.strict_ordering or cls.slight_ordering:
            handler = enforce_ordering(handler, slight=not cls.strict_ordering)
        return handler

    @classmethod
    def trigger_inbound(cls, message: Any, **kwargs: Any) -> None:
        """Do what a message asks for; connections, and their ends, ask for nothing."""
        if message.channel.name == "websocket.receive":
            super().trigger_inbound(message, **kwargs)

    def deserialize(self, message: Any) -> tuple[Any, Any, Any]:
        """Return action, primary key and data of a payload."""
        body = json.loads(message["text"])
        return body["action"], body.get("pk"), body.get("data")

    def create(self, data: Any) -> None:
        """Make an object of data."""
        self._made(None, data).save()

    def update(self, pk: Any, data: Any) -> None:
        """Change the fields of an object that may be sent. Raises: the model's DoesNotExist."""
        instance = self.model.objects.get(pk=pk)
        changed = self._made(pk, data).object
        for name in data:
            if self._is_sent(name):
                setattr(instance, name, getattr(changed, name))
        instance.save()

    def _made(self, pk: Any, data: Any) -> Any:
        [made] = serializers.deserialize("python", [{"pk": pk, "model": self.model_label, "fields": data}])
        return made

    def _is_sent(self, name: str) -> bool:
        if self.fields is None:
            return name not in self.exclude
        return self._has_all_fields() or name in self.fields

    def _has_all_fields(self) -> bool:
        return self.fields == _ALL or list(self.fields) == [_ALL]


class WebsocketBindingWithMembers(WebsocketBinding):
    """A binding that sends attributes, properties and methods of the model, too.

    Attributes:
        send_members: their names; "a.b" is for what an attribute has, and is sent as `a__b`.
    """

    model: Any = None
    send_members: Any = ()
    encoder = DjangoJSONEncoder()

    def serialize_data(self, instance: Any, **kwargs: Any) -> dict[str, Any]:
        """Return fields and members."""
        members = {}
        for path in self.send_members:
            member = instance
            for name in path.split("."):
                member = getattr(member, name)
            members[path.replace(".", "__")] = member() if callable(member) else member
        return {**super().serialize_data(instance, **kwargs), **json.loads(self.encoder.encode(members))}
