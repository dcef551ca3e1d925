"""Which consumers get a large body as it comes."""

import functools

import pytest
from test_consumer import Plain, coroutine, decorated_plainly, plain, with_more_plain

from uvicorn.bridge.consumer import Consumer, streams_body
from uvicorn.errors import ConsumerError


@streams_body
def streaming(message):
    pass


@streams_body
def streaming_with_more(extra, message):
    pass


class Streaming:
    @streams_body
    def __call__(self, message):
        pass

    @streams_body
    def method(self, message):
        pass


MARKED = {
    "function": streaming,
    "partial of what is marked": functools.partial(streaming_with_more, 1),
    "partial of a partial of what is marked": functools.partial(functools.partial(streaming_with_more), 1),
    "partial that is marked": streams_body(functools.partial(with_more_plain, 1)),
    "partial of a partial that is marked": functools.partial(streams_body(functools.partial(with_more_plain)), 1),
    "bound method": Streaming().method,
    "instance that is marked": streams_body(Plain()),
    "instance whose __call__ is marked": Streaming(),
    "wrapper around what is marked": decorated_plainly(streaming),
}


@pytest.mark.parametrize("call", MARKED.values(), ids=MARKED)
def test_a_mark_makes_a_synchronous_consumer_stream(call):
    consumer = Consumer(call)
    assert (consumer.is_async, consumer.streams_body) == (False, True)


@pytest.mark.parametrize("call", [plain, Plain(), Plain().method, functools.partial(with_more_plain, 1)])
def test_a_synchronous_consumer_without_a_mark_does_not_stream(call):
    assert Consumer(call).streams_body is False


@pytest.mark.parametrize("body", [None, "stream", "collect"])
def test_an_asynchronous_consumer_always_streams(body):
    assert Consumer(coroutine, body).streams_body is True


@pytest.mark.parametrize(
    ("call", "body", "streams"),
    [(plain, "stream", True), (plain, "collect", False), (streaming, "collect", False), (streaming, "stream", True)],
)
def test_what_the_route_says_goes_before_the_mark(call, body, streams):
    assert Consumer(call, body).streams_body is streams


def test_streams_body_gives_back_what_it_marks():
    def consumer(message):
        pass

    assert streams_body(consumer) is consumer


@pytest.mark.parametrize("body", ["", "streams", True, 0])
def test_another_word_for_body_is_refused(body):
    with pytest.raises(ConsumerError, match="'stream' or 'collect'"):
        Consumer(plain, body)
