"""What a consumer is found to be."""

import asyncio
import functools
import inspect
import sys

import pytest

from uvicorn.bridge.consumer import Consumer, is_async_callable, name_of
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
