"""The groups with a history that this process has members of: who joins, who waits, and what each is given.

Theory of operation
-------------------
Loop thread only. While a group has members here it is *followed*: the process is subscribed to it, and has its latest
messages in a `Tape`. The first member subscribes, and then has the layer asked (`recall`) for the history; those that
are added meanwhile wait for the same answer. From then on a member that comes back is served from the tape: what it has
missed goes out in the same turn of the loop in which it becomes a member, so nothing can come between.

Whenever messages may be missing, because the layer was away, a process was killed or an offset is left out, the layer
is asked again, and members get what is found, in order. Only what the layer does not have any more is told as a gap.
It is asked now and then without a reason, too: so it knows that the group has members, and does not forget it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.handover import Handover
from uvicorn.layers.history import Form, History, Joining, Position, Standing, formed
from uvicorn.layers.layer import Layer
from uvicorn.layers.members import Member
from uvicorn.layers.tape import Entry, Found, Tape

__all__ = ["Audience", "Followers"]

_MOST_ASKED_SECONDS: Final = 60.0  # between two times that the layer is asked without a reason; arbitrary


class Audience(Protocol):
    """What we need of the hub."""

    def members_of(self, group: str) -> Collection[Member]:
        """Return the members of a group that this process has."""

    def deliver(self, members: Collection[Member], content: Mapping[str, Any]) -> None:
        """Give a message to members."""

    def on_refused(self, name: str, error: Exception) -> None:
        """A message cannot be given to a member."""

    def on_lost(self, error: BaseException) -> None:
        """Something that nobody waits for has failed."""


class _Joiner(NamedTuple):
    """A member that waits until the history is known."""

    member: Member
    since: Position | None
    asked: int  # how many times the layer had been asked before
    future: asyncio.Future[Standing | None]


class _Followed:
    """One group."""

    def __init__(self, history: History, given: Position | None, subscribe: Callable[[], Awaitable[Any]]) -> None:
        self.tape: Final = Tape(history, given)
        self.subscribe = subscribe
        self.is_subscribed = False
        self.forms: Final[dict[str, Form | bool]] = {}  # name of the member -> how it wants its messages
        self.joiners: Final[dict[str, _Joiner]] = {}
        self.asking: asyncio.Task[None] | None = None
        self.asked = 0  # times
        self.is_doubtful = False  # since the layer was asked
        self.asked_at = 0.0


class Followers:
    """All groups with a history of which this process has members."""

    def __init__(self, loop: asyncio.AbstractEventLoop, layer: Layer, audience: Audience) -> None:
        self._loop = loop
        self._layer = layer
        self._audience = audience
        self._followed: dict[str, _Followed] = {}
        self._given: dict[str, Position] = {}  # of groups with members that are not followed

    def __contains__(self, group: str) -> bool:
        return group in self._followed

    def join(
        self, group: str, member: Member, joining: Joining, is_new: bool, subscribe: Callable[[], Awaitable[Any]]
    ) -> Awaitable[Standing | None]:
        """Have a member get the messages of a group, after those that it has missed.

        Args:
            is_new: whether it becomes a member now. One that is a member already has missed nothing.
            subscribe: has the messages of the group come.
        """
        followed = self._followed.get(group)
        if followed is None:
            assert joining.history is not None
            followed = _Followed(joining.history, self._given.pop(group, None), subscribe)
            self._followed[group] = followed
        if joining.form:
            followed.forms[member.name] = joining.form
        waiting = followed.joiners.get(member.name)
        if waiting is not None:
            return Handover(waiting.future, self._audience.on_lost)
        joiner = _Joiner(member, joining.since if is_new else None, followed.asked, self._loop.create_future())
        if followed.tape.covers(joiner.since):
            return self._admit(followed, joiner)
        followed.is_doubtful = True  # an answer that is on its way may be too old
        if is_new:
            followed.joiners[member.name] = joiner
        self._ask(group, followed)
        if not is_new:  # it is a member of a group that had no history until now
            return Handover(self._loop.create_task(self._standing(followed)), self._audience.on_lost)
        return Handover(joiner.future, self._audience.on_lost)

    def leave(self, group: str, name: str) -> None:
        """Somebody is a member no more."""
        followed = self._followed.get(group)
        if followed is not None:
            followed.forms.pop(name, None)
            joiner = followed.joiners.pop(name, None)
            if joiner is not None and not joiner.future.done():
                joiner.future.set_result(None)

    def forget(self, group: str) -> None:
        """The last member has left."""
        self._given.pop(group, None)
        followed = self._followed.pop(group, None)
        if followed is not None and followed.asking is not None:
            followed.asking.cancel()
        for joiner in () if followed is None else followed.joiners.values():
            if not joiner.future.done():
                joiner.future.set_result(None)

    def take(self, group: str, epoch: str, offset: int, content: Mapping[str, Any], size: int) -> bool:
        """Take a message of a history; return False if nobody has asked for that in this process."""
        followed = self._followed.get(group)
        if followed is None:
            if self._audience.members_of(group):
                self._given[group] = Position(epoch, offset)
            return False
        entry = followed.tape.take(epoch, offset, content, self._loop.time(), size)
        if entry is not None:
            self._give(group, followed, entry)
        elif not followed.tape.is_open:
            self._ask(group, followed)
        return True

    def doubt(self, groups: Iterable[str] | None = None) -> None:
        """Messages may have been missed: the layer is asked. None for all groups."""
        for group in tuple(self._followed) if groups is None else groups:
            followed = self._followed.get(group)
            if followed is not None:
                followed.tape.close()
                followed.is_doubtful = True
                self._ask(group, followed)

    def tick(self, now: float) -> None:
        """Ask again where that failed, or was long ago; forget what is too old."""
        for group, followed in tuple(self._followed.items()):
            tape = followed.tape
            tape.expire(now)
            longest = min(_MOST_ASKED_SECONDS, tape.history.seconds / 2)
            if not tape.is_open or now - followed.asked_at >= longest:
                self._ask(group, followed)

    def stop(self) -> None:
        """Ask nothing any more."""
        for group in tuple(self._followed):
            self.forget(group)

    # ---- one group ----

    def _ask(self, group: str, followed: _Followed) -> None:
        if followed.asking is None:
            followed.asking = self._loop.create_task(self._recall(group, followed))

    async def _recall(self, group: str, followed: _Followed) -> None:
        tape = followed.tape
        try:
            while True:
                if not followed.is_subscribed:
                    await followed.subscribe()
                    followed.is_subscribed = True
                followed.is_doubtful = False
                followed.asked += 1
                recalled = await self._layer.recall(group, tape.history, tape.position)
                followed.asked_at = self._loop.time()
                self._pass_on(group, followed, tape.recalled(recalled, self._loop.time()))
                if tape.is_open and not followed.is_doubtful:
                    return
                await asyncio.sleep(0)
        except Exception as error:
            # Those who wait for it are told; they are members all the same, from the moment at which the layer answers.
            tape.close()
            waiting = [joiner.future for joiner in followed.joiners.values() if not joiner.future.done()]
            for future in waiting:
                future.set_exception(error)
            if not waiting and not isinstance(error, ChannelLayerUnavailable):
                self._audience.on_lost(error)
        finally:
            followed.asking = None

    def _pass_on(self, group: str, followed: _Followed, found: Found) -> None:
        if found.missed != 0:
            for member in self._joined(group, followed):
                member.tell_gap(found.missed)
        for entry in found.entries:
            self._give(group, followed, entry)
        for joiner in tuple(followed.joiners.values()):
            if joiner.asked >= followed.asked and not followed.tape.covers(joiner.since):
                continue
            del followed.joiners[joiner.member.name]
            standing = self._admit(followed, joiner)
            if not joiner.future.done():
                joiner.future.set_result(standing)

    def _admit(self, followed: _Followed, joiner: _Joiner) -> Standing:
        """Make somebody a member: from now on it gets what comes."""
        tape, member = followed.tape, joiner.member
        assert tape.position is not None
        found = tape.since(joiner.since, self._loop.time())
        if found.missed != 0:
            member.tell_gap(found.missed)
        form = followed.forms.get(member.name)
        for entry in found.entries:
            content = self._formed(form, entry, member)
            if content is not None:
                member.give_again(content)
        return Standing(*tape.position, found.missed)

    async def _standing(self, followed: _Followed) -> Standing | None:
        if followed.asking is not None:
            await asyncio.wait([followed.asking])
        position = followed.tape.position
        return None if position is None else Standing(*position)

    def _joined(self, group: str, followed: _Followed) -> list[Member]:
        return [member for member in self._audience.members_of(group) if member.name not in followed.joiners]

    def _give(self, group: str, followed: _Followed, entry: Entry) -> None:
        """Give a message to all members, made once for all that want it in the same form."""
        members = self._joined(group, followed)
        if not followed.forms:
            self._audience.deliver(members, entry.content)
            return
        alike: dict[Any, list[Member]] = {}
        for member in members:
            alike.setdefault(followed.forms.get(member.name), []).append(member)
        for form, those in alike.items():
            content = self._formed(form, entry, those[0])
            if content is not None:
                self._audience.deliver(those, content)

    def _formed(self, form: Form | bool | None, entry: Entry, member: Member) -> Mapping[str, Any] | None:
        try:
            return formed(form, entry.content, entry.epoch, entry.offset)
        except Exception as error:  # an application's own function
            self._audience.on_refused(member.name, error)
            return None
