"""Who is in a group, where answers come early, late or not at all."""

import asyncio

import pytest
from bridge_doubles import on_loop

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.census import Census


@on_loop
async def test_answers_that_come_before_it_is_known_how_many_there_will_be_count():
    census = Census(60)

    async def ask(number):
        census.answered(number, ["a", "b"])
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(census.answered, number, ["c"])
        return 2

    assert await census.take(ask) == ["a", "b", "c"]


@on_loop
async def test_an_answer_that_does_not_come_is_not_waited_for_without_end():
    census = Census(0.01)
    asked = []

    async def ask(number):
        asked.append(number)
        census.answered(number, ["a"])
        return 2

    assert await census.take(ask) == ["a"]
    census.answered(asked[0], ["late"])
    assert await census.take(ask) == ["a"]


@on_loop
async def test_a_question_that_cannot_be_asked_is_an_error():
    census = Census(60)

    async def ask(number):
        raise ChannelLayerUnavailable("it is away")

    with pytest.raises(ChannelLayerUnavailable, match="it is away"):
        await census.take(ask)
    assert not census._found
