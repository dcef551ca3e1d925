"""What an application is, found out from the callable itself."""

import functools

import pytest
from werkzeug.wrappers import Request as WerkzeugRequest

from uvicorn import asgi, consumer, wsgi
from uvicorn.applications.detect import as_consumer, interface_of
from uvicorn.bridge.consumer import Consumer
from uvicorn.errors import ConsumerError


def plain_consumer(message):
    pass


def consumer_with_a_default(message, extra=None):
    pass


async def async_consumer(message):
    pass


def wsgi_function(environ, start_response):
    return []


class WSGIInstance:
    def __call__(self, environ, start_response):
        return []


class WSGIClass:  # PEP 3333 has this one
    def __init__(self, environ, start_response):
        pass

    def __iter__(self):
        return iter(())


async def asgi_function(scope, receive, send):
    pass


def asgi_plain_wrapper(scope, receive, send):
    return asgi_function(scope, receive, send)


class ASGIInstance:
    async def __call__(self, scope, receive, send):
        pass


class ASGIClass:  # Starlette's endpoints
    def __init__(self, scope, receive, send):
        pass

    def __await__(self):
        yield


class ASGI2Class:
    def __init__(self, scope):
        pass

    async def __call__(self, receive, send):
        pass


def asgi2_function(scope):
    return asgi_function


class ConsumerClass:
    def __init__(self, message):
        pass


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def anything(*args, **kwargs):
    pass


@pytest.mark.parametrize(
    ("application", "kind"),
    [
        (plain_consumer, "consumer"),
        (consumer_with_a_default, "consumer"),
        (async_consumer, "consumer"),
        (ConsumerClass, "consumer"),
        (functools.partial(wsgi_function, {}), "consumer"),
        (decorated(plain_consumer), "consumer"),
        (wsgi_function, "wsgi"),
        (WSGIInstance(), "wsgi"),
        (WSGIInstance().__call__, "wsgi"),
        (WSGIClass, "wsgi"),
        (decorated(wsgi_function), "wsgi"),
        (asgi_function, "asgi"),
        (asgi_plain_wrapper, "asgi"),
        (ASGIInstance(), "asgi"),
        (ASGIClass, "asgi"),
        (decorated(asgi_function), "asgi"),
        (ASGI2Class, "asgi2"),
        (asgi2_function, "asgi2"),
    ],
)
def test_the_callable_tells_what_it_is(application, kind):
    assert interface_of(application) == kind


def test_a_consumer_is_told_by_its_side():
    assert [as_consumer(app).is_async for app in (plain_consumer, async_consumer, wsgi_function, asgi_function)] == [
        False,
        True,
        False,
        True,
    ]


async def asynchronous_with_two(one, two):
    pass


def four(one, two, three, another):
    pass


def none_at_all():
    pass


@WerkzeugRequest.application
def made_by_a_decorator(request):
    pass


@pytest.mark.parametrize(
    "application", [asynchronous_with_two, four, none_at_all, anything, print, made_by_a_decorator]
)
def test_what_cannot_be_told_is_refused_with_how_to_say_it(application):
    with pytest.raises(ConsumerError, match="say it with --interface") as caught:
        as_consumer(application)
    assert application.__name__ in str(caught.value)


def test_what_says_nothing_is_what_its_place_says():
    assert isinstance(as_consumer(anything, unknown="consumer"), Consumer)


def test_what_is_said_holds():
    assert not wsgi(anything).is_async
    assert asgi(anything).is_async
    assert consumer(anything).target is anything
    assert as_consumer(anything, "wsgi").name == f"{__name__}.anything"
    assert as_consumer(plain_consumer, "asgi2").is_async


@pytest.mark.parametrize(
    ("declare", "application"),
    [
        (wsgi, plain_consumer), (wsgi, asynchronous_with_two), (wsgi, ASGIInstance()), (wsgi, None),
        (asgi, wsgi_function), (asgi, 7), (consumer, wsgi_function), (consumer, "name"),
        (functools.partial(asgi, version=2), asgi_function), (functools.partial(asgi, version=2), async_consumer),
    ],
)  # fmt: skip
def test_what_is_said_and_cannot_be_is_refused(declare, application):
    with pytest.raises(ConsumerError):
        declare(application)


def test_a_declared_application_is_left_as_it_is():
    declared = wsgi(wsgi_function)
    assert as_consumer(declared) is declared
    assert as_consumer(declared, body="stream").streams_body
    assert not declared.streams_body


def test_what_is_said_holds_for_the_callable_and_not_for_what_it_wraps():
    made = wsgi(made_by_a_decorator)
    assert made.target.application is made_by_a_decorator  # type: ignore[attr-defined]
