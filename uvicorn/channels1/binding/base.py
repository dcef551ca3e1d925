"""`Binding`: between a model of Django's and channels, in both directions.

*Outbound.* Signals of the model come here. Before a change the groups that an object is in are noted, and compared with
those after it: a group that it has left hears of a deletion, one that it has come into of a creation, and the others of
an update.

*Inbound.* A message names an action, a primary key and data; `has_permission` decides, and the action is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from django.apps import apps
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from uvicorn.channels1.auth import channel_session, channel_session_user
from uvicorn.channels1.channel import Group

__all__ = ["CREATE", "DELETE", "UPDATE", "Binding", "BindingMetaclass"]

CREATE = "create"
UPDATE = "update"
DELETE = "delete"


class BindingMetaclass(type):
    """What knows all bindings, so that they are connected when the models are there.

    Attributes:
        register_immediately: they are.
    """

    register_immediately: ClassVar[bool] = False
    binding_classes: ClassVar[list[Any]] = []

    def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> Any:
        made: Any = super().__new__(cls, name, bases, body)
        if bases:  # not Binding itself
            cls.binding_classes.append(made)
            if cls.register_immediately:
                made.register()
        return made

    @classmethod
    def register_all(cls) -> None:
        """Connect all bindings to the signals of their models, those that are yet to come, too."""
        for binding in cls.binding_classes:
            binding.register()
        BindingMetaclass.register_immediately = True


class Binding(metaclass=BindingMetaclass):
    """The base of bindings.

    A subclass has `group_names`, `serialize` and `encode` for outbound messages; for inbound ones `deserialize`,
    `has_permission`, `create` and `update`.

    Attributes:
        model: the model, or "application.Model"; None in the body of a class that is abstract.
        fields: names of the fields that are sent, or `["__all__"]`.
        exclude: names of those that are not; one of both must be there.
        channel_session_user, channel_session: of the consumer for inbound messages.
        signal_kwargs: what came with the signal of the change that is sent.
    """

    model: Any = None
    fields: Any = None
    exclude: Any = None
    stream: Any = None
    channel_session_user: bool = True
    channel_session: bool = False
    signal_kwargs: Any = None
    model_label: str
    user: Any
    instance: Any

    @classmethod
    def register(cls) -> None:
        """Connect to the signals of the model."""
        for model in cls.get_registered_models():
            pre_save.connect(cls.pre_save_receiver, sender=model)
            post_save.connect(cls.post_save_receiver, sender=model)
            pre_delete.connect(cls.pre_delete_receiver, sender=model)
            post_delete.connect(cls.post_delete_receiver, sender=model)

    @classmethod
    def get_registered_models(cls) -> list[Any]:
        """Return the model in a list, which is empty for an abstract class. Raises: ValueError."""
        if cls.model is None:
            if "model" in vars(cls):
                return []
            raise ValueError(f"{cls.__qualname__} must have a model (model = None says that it is abstract)")
        if cls.fields is None and cls.exclude is None:
            raise ValueError(f"{cls.__qualname__} must say which fields it sends: fields = [...] or exclude = [...]")
        if isinstance(cls.model, str):
            cls.model = apps.get_model(cls.model)
        cls.model_label = cls.model._meta.label_lower
        return [cls.model]

    # ---- outbound ----

    @classmethod
    def encode(cls, stream: str, payload: Any) -> dict[str, Any]:
        """Return the message for a payload."""
        raise NotImplementedError

    @classmethod
    def group_names(cls, instance: Any) -> Iterable[str]:
        """Return the names of the groups that hear of changes of an object."""
        raise NotImplementedError

    def serialize(self, instance: Any, action: str) -> Any:
        """Return the payload for an object; `{}` for nothing to be sent."""
        raise NotImplementedError

    @classmethod
    def pre_save_receiver(cls, instance: Any, **kwargs: Any) -> None:
        """An object is about to be saved."""
        cls.pre_change_receiver(instance, CREATE if instance._state.adding else UPDATE)

    @classmethod
    def post_save_receiver(cls, instance: Any, created: bool, **kwargs: Any) -> None:
        """An object was saved."""
        cls.post_change_receiver(instance, CREATE if created else UPDATE, **kwargs)

    @classmethod
    def pre_delete_receiver(cls, instance: Any, **kwargs: Any) -> None:
        """An object is about to be deleted."""
        cls.pre_change_receiver(instance, DELETE)

    @classmethod
    def post_delete_receiver(cls, instance: Any, **kwargs: Any) -> None:
        """An object was deleted."""
        cls.post_change_receiver(instance, DELETE, **kwargs)

    @classmethod
    def pre_change_receiver(cls, instance: Any, action: str) -> None:
        """Note the groups of an object before a change."""
        if not hasattr(instance, "_binding_group_names"):
            instance._binding_group_names = {}
        instance._binding_group_names[cls] = set() if action == CREATE else set(cls.group_names(instance))

    @classmethod
    def post_change_receiver(cls, instance: Any, action: str, **kwargs: Any) -> None:
        """Tell the groups of an object, those before the change and those after it."""
        before = instance._binding_group_names[cls]
        after = set() if action == DELETE else set(cls.group_names(instance))
        binding = cls()
        binding.instance = instance
        binding.send_messages(instance, before - after, DELETE, **kwargs)
        binding.send_messages(instance, before & after, UPDATE, **kwargs)
        binding.send_messages(instance, after - before, CREATE, **kwargs)

    def send_messages(self, instance: Any, group_names: Iterable[str], action: str, **kwargs: Any) -> None:
        """Tell some groups of one action."""
        if not group_names:
            return
        self.signal_kwargs = kwargs
        payload = self.serialize(instance, action)
        if payload == {}:
            return
        assert self.stream is not None, f"{type(self).__qualname__} must have a stream"
        message = self.encode(self.stream, payload)
        for name in group_names:
            Group(name).send(message)

    # ---- inbound ----

    @classmethod
    def trigger_inbound(cls, message: Any, **kwargs: Any) -> None:
        """Do what a message asks for, if that is allowed."""
        from django.contrib.auth.models import AnonymousUser

        binding: Any = cls()
        binding.message = message
        binding.kwargs = kwargs
        binding.action, binding.pk, binding.data = binding.deserialize(message)
        binding.user = getattr(message, "user", None) or AnonymousUser()
        binding.run_action(binding.action, binding.pk, binding.data)

    @classmethod
    def get_handler(cls) -> Callable[..., Any]:
        """Return `trigger_inbound`, in the decorators that the attributes ask for."""
        if cls.channel_session_user:
            return channel_session_user(cls.trigger_inbound)
        if cls.channel_session:
            return channel_session(cls.trigger_inbound)
        return cls.trigger_inbound

    @classmethod
    def consumer(cls, message: Any, **kwargs: Any) -> None:
        """The consumer for inbound messages, to be put into a demultiplexer."""
        cls.get_handler()(message, **kwargs)

    def deserialize(self, message: Any) -> tuple[Any, Any, Any]:
        """Return action, primary key (None to create) and data (None to delete)."""
        raise NotImplementedError

    def has_permission(self, user: Any, action: str, pk: Any) -> bool:
        """Say whether a user may do an action."""
        raise NotImplementedError

    def run_action(self, action: str, pk: Any, data: Any) -> None:
        """Do an action, if it is allowed. Raises: ValueError for one that there is not."""
        if not self.has_permission(self.user, action, pk):
            return
        if action == CREATE:
            self.create(data)
        elif action == UPDATE:
            self.update(pk, data)
        elif action == DELETE:
            self.delete(pk)
        else:
            raise ValueError(f"{action!r} is no action: create, update or delete")

    def create(self, data: Any) -> None:
        """Make an object of data."""
        raise NotImplementedError

    def update(self, pk: Any, data: Any) -> None:
        """Change an object."""
        raise NotImplementedError

    def delete(self, pk: Any) -> None:
        """Delete an object."""
        self.model.objects.filter(pk=pk).delete()
