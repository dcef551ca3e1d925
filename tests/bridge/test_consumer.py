"""What a consumer is found to be."""

import asyncio
import functools
import inspect
import sys

import pytest

from uvicorn.bridge.consumer import Consumer, advice_on, is_async_callable, name_of, streams_body
from uvicorn.errors import ConsumerError


def plain(message):
    pass


async def coroutine(message):
    pass


async def generator(message):
    yield message


async def with_more(extra, message):
    pass


def with_more_plain(extra, message):
    pass


def decorated_asynchronously(function):
    @functools.wraps(function)
    async def wrapper(message):
        return await function(message)

    return wrapper


def decorated_plainly(function):
    @functools.wraps(function)
    def wrapper(message):
        return function(message)

    return wrapper


class Plain:
    def __call__(self, message):
        pass

    def method(self, message):
        pass

    @classmethod
    def of_class(cls, message):
        pass

    @staticmethod
    def static(message):
        pass


class Asynchronous:
    async def __call__(self, message):
        pass

    async def method(self, message):
        pass

    async def with_more(self, extra, message):
        pass

    prepared = functools.partialmethod(with_more, 1)

    @classmethod
    async def of_class(cls, message):
        pass

    @staticmethod
    async def static(message):
        pass


class AsynchronousChild(Asynchronous):
    pass


class CalledAtOnce:
    def __init__(self, message):
        pass


class MadeAtOnce(Asynchronous):
    """Calling the class makes an instance: that is not a coroutine."""

    def __init__(self, message):
        pass


def marked():
    """A plain function that is marked as one that returns a coroutine."""

    def function(message):
        return coroutine(message)

    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]
    return function


ASYNCHRONOUS = {
    "function": coroutine,
    "partial": functools.partial(with_more, 1),
    "partial of a partial": functools.partial(functools.partial(with_more), 1),
    "bound method": Asynchronous().method,
    "class method": Asynchronous.of_class,
    "static method": Asynchronous.static,
    "partial method": Asynchronous().prepared,
    "partial of a bound method": functools.partial(Asynchronous().with_more, 1),
    "instance": Asynchronous(),
    "instance of a child": AsynchronousChild(),
    "partial of an instance": functools.partial(Asynchronous()),
    "bound __call__": Asynchronous().__call__,
    "marked": marked(),
    "partial of marked": functools.partial(marked()),
    "asynchronous wrapper around a coroutine function": decorated_asynchronously(coroutine),
    "asynchronous wrapper around a plain function": decorated_asynchronously(plain),
}

SYNCHRONOUS = {
    "function": plain,
    "lambda": lambda message: None,
    "partial": functools.partial(with_more_plain, 1),
    "bound method": Plain().method,
    "class method": Plain.of_class,
    "static method": Plain.static,
    "instance": Plain(),
    "partial of an instance": functools.partial(Plain()),
    "class": CalledAtOnce,
    "class with an asynchronous __call__": MadeAtOnce,
    "builtin": print,
    "asynchronous generator": generator,
    "plain wrapper around a coroutine function": decorated_plainly(coroutine),
}


@pytest.mark.parametrize("call", ASYNCHRONOUS.values(), ids=ASYNCHRONOUS)
def test_runs_on_the_loop(call):
    assert is_async_callable(call) is True
    assert Consumer(call).is_async is True


@pytest.mark.parametrize("call", SYNCHRONOUS.values(), ids=SYNCHRONOUS)
def test_runs_in_the_pool(call):
    assert is_async_callable(call) is False
    assert Consumer(call).is_async is False


@pytest.mark.parametrize("thing", [None, 1, "text", [plain], {}, object()], ids=lambda thing: type(thing).__name__)
def test_what_cannot_be_called_is_refused_by_name(thing):
    with pytest.raises(ConsumerError, match="not callable"):
        Consumer(thing)


def none():
    pass


def two(message, other):
    pass


def only_by_keyword(*, message):
    pass


async def environ_and_start_response(environ, start_response):
    pass


class TakesNothing:
    def __call__(self):
        pass


@pytest.mark.parametrize(
    "call",
    [none, two, only_by_keyword, environ_and_start_response, TakesNothing(), CalledAtOnce(None).__init__.__func__],
    ids=name_of,
)
def test_a_wrong_signature_is_refused_by_name(call):
    with pytest.raises(ConsumerError, match="one argument") as caught:
        Consumer(call)
    assert name_of(call) in str(caught.value)
    assert "def consumer(message)" in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda *args: None,
        lambda message, other=None: None,
        lambda *args, **kwargs: None,
        lambda message, *, option=None: None,
        functools.partial(two, other=1),
        functools.partial(two, None),
        dict.fromkeys,
    ],
)
def test_whatever_takes_one_positional_argument_is_accepted(call):
    assert Consumer(call).call is call


def test_a_callable_without_a_signature_is_accepted():
    with pytest.raises(ValueError, match="signature"):
        inspect.signature(dict)
    assert Consumer(dict).is_async is False


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (plain, "plain"),
        (coroutine, "coroutine"),
        (functools.partial(with_more_plain, 1), "with_more_plain"),
        (functools.partial(functools.partial(with_more_plain), 1), "with_more_plain"),
        (Plain().method, "Plain.method"),
        (Plain.of_class, "Plain.of_class"),
        (Plain(), "Plain()"),
        (functools.partial(Plain()), "Plain()"),
        (CalledAtOnce, "CalledAtOnce"),
        (decorated_plainly(plain), "plain"),
    ],
)
def test_name_is_module_and_qualified_name(call, name):
    assert Consumer(call).name == f"{__name__}.{name}"


def test_name_of_a_builtin_is_in_builtins():
    assert name_of(print) == "builtins.print"


def test_repr_tells_name_and_side():
    assert repr(Consumer(plain)) == f"<Consumer {__name__}.plain in the pool>"
    assert repr(Consumer(coroutine)) == f"<Consumer {__name__}.coroutine on the loop>"


# ---- streams_body ----


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


def test_a_wrapper_is_asked_for_its_own_arguments_not_for_those_of_what_it_wraps():
    def with_connection(function):
        @functools.wraps(function)
        def wrapper(message):
            return function(message, "connection")

        return wrapper

    @with_connection
    def consumer(message, connection):
        pass

    assert Consumer(consumer).is_async is False
    with pytest.raises(ConsumerError, match="one argument"):
        Consumer(functools.wraps(plain)(lambda message, extra: None))


# ---- what it returns ----


class Response:
    status_code = 200


@pytest.mark.parametrize(
    ("result", "is_socket", "words"),
    [
        (
            "hello",
            False,
            "returned a str, which goes nowhere; send it with message['reply_channel'].send({'status': 200, ",
        ),
        (b"hello", False, "returned a bytes"),
        ({"status": 200}, False, "returned a dict"),
        (("hello", 200), False, "returned a tuple"),
        (Response(), False, "returned a Response"),
        (
            "hello",
            True,
            "returned a str, which goes nowhere; send it with message['reply_channel'].send({'text': ...})",
        ),
    ],
)
def test_a_value_that_was_meant_for_the_client_gets_advice(result, is_socket, words):
    assert advice_on(result, is_socket).startswith(words)


def test_text_gets_the_advice_to_be_encoded_where_bytes_are_sent():
    assert advice_on("hello").endswith("(content is bytes: encode it)")
    assert "encode" not in advice_on(b"hello")


@pytest.mark.parametrize("result", [0, True, object(), Consumer(plain)], ids=lambda result: type(result).__name__)
def test_any_other_value_gets_none(result):
    assert advice_on(result) == ""
