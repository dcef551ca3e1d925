"""What an application is: looked at once, when it is loaded.

The callable itself tells: how many positional parameters it requires, and whether calling it gives a coroutine.

    parameters              plain                        asynchronous
    1                       consumer, or ASGI 2 (below)  consumer
    2                       WSGI                         -
    3                       ASGI 3                       ASGI 3

ASGI 2 is a callable of one parameter that returns a callable of two: a class with an asynchronous `__call__` of
two parameters, or a plain function whose parameter is called `scope`. In a list of routes, parameters that a named
group gives do not count. A callable whose first parameter is called `message` is always a consumer. What fits none of
these, or several, is refused with a sentence that says how to say it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection
from typing import Any, Final, Literal, TypeAlias

from uvicorn.applications.asgi import ASGIApplication
from uvicorn.bridge.consumer import Consumer, is_async_callable, name_of
from uvicorn.errors import ConsumerError

__all__ = ["INTERFACES", "Interface", "as_consumer", "asgi", "consumer", "interface_of", "is_wsgi", "wsgi"]

Interface: TypeAlias = Literal["auto", "consumer", "wsgi", "asgi", "asgi2"]

#: what `--interface` takes; "asgi3" is another name of "asgi"
INTERFACES: Final = ("auto", "consumer", "wsgi", "asgi", "asgi2")

_HOW: Final = "say it with --interface, or in code with consumer(app), wsgi(app) or asgi(app)"


def consumer(application: Callable[..., Any], body: str | None = None) -> Consumer:
    """Mark a callable as a message consumer.

    Args:
        body: "stream" or "collect", as for `route`.

    Raises: ConsumerError.
    """
    return Consumer(application, body)


def wsgi(application: Callable[..., Any], body: str | None = None) -> Consumer:
    """Mark a callable as a WSGI application (PEP 3333): it runs in a thread of the pool.

    Args:
        body: "stream" to have `wsgi.input` give a large body as it comes; "collect", the default, to have it
            collected before a thread is taken.

    Raises: ConsumerError if it cannot be called with two arguments.
    """
    from uvicorn.applications.wsgi import WSGIApplication  # where one is served

    return Consumer(WSGIApplication(application), body, marked=application)


def is_wsgi(consumer: Consumer) -> bool:
    """Whether it is a WSGI application; where none is served, nothing is imported for it."""
    module = sys.modules.get("uvicorn.applications.wsgi")
    return module is not None and isinstance(consumer.target, module.WSGIApplication)


def asgi(application: Callable[..., Any], version: int = 3) -> Consumer:
    """Mark a callable as an ASGI application: it runs on the loop.

    Args:
        version: 3 for one callable `(scope, receive, send)`; 2 for `(scope)` that returns `(receive, send)`.

    Raises: ConsumerError if it cannot be called so.
    """
    adapter = ASGIApplication(application, version)
    # The method itself: Python would look it up for each call of the instance.
    return Consumer(adapter, marked=application).replaced(call=adapter.__call__)


def as_consumer(
    application: Any,
    interface: str = "auto",
    body: str | None = None,
    unknown: Interface | None = None,
    groups: Collection[str] | None = None,
) -> Consumer:
    """Make any application a consumer.

    Args:
        application: a callable, or what `consumer`, `wsgi` and `asgi` return.
        interface: one of INTERFACES; "auto" looks at the callable.
        unknown: what a callable is whose parameters say nothing (`*args`); None to refuse it.
        groups: the named groups that a route gives as keyword arguments; None if there is no route.
        body: as for `wsgi`; None for what the application says.

    Raises: ConsumerError that says what is wrong and how to say it.
    """
    if isinstance(application, Consumer):
        if body is None:
            return application
        return application.replaced(streams_body=Consumer(application.target, body).streams_body)
    kind = interface_of(application, unknown, groups or ()) if interface == "auto" else interface
    if kind == "wsgi":
        return wsgi(application, body)
    if kind in ("asgi", "asgi2"):
        return asgi(application, 2 if kind == "asgi2" else 3)
    return Consumer(application, body, groups)


def interface_of(application: Any, unknown: Interface | None = None, groups: Collection[str] = ()) -> Interface:
    """Find out what an application is.

    Args:
        groups: parameters that a route gives by name.

    Raises: ConsumerError if it cannot be told, and `unknown` does not say it.
    """
    if not callable(application):
        return "consumer"  # its own error says it best
    required = _required_parameters(application)
    is_async = is_async_callable(application)
    if required is None:
        if unknown is not None:
            return unknown
        raise ConsumerError(f"{name_of(application)}: its parameters cannot be told; {_HOW}")
    count = len([name for name in required if name not in groups])
    if count == 1 or (required and required[0] == "message"):
        return "asgi2" if not is_async and _is_double_callable(application, required[0]) else "consumer"
    if count == 2 and not is_async:
        return "wsgi"
    if count == 3:
        return "asgi"
    if not count and not is_async:
        raise ConsumerError(
            f"{name_of(application)} is a callable that requires 0 arguments: if it makes the application, name it "
            f"with '()' behind it, or use --factory; {_HOW}"
        )
    kind = "an asynchronous callable" if is_async else "a callable"
    raise ConsumerError(
        f"{name_of(application)} is {kind} that requires {count} arguments: "
        f"a consumer takes one (message), a WSGI application two, an ASGI application three; {_HOW}"
    )


def _required_parameters(application: Any) -> list[str] | None:
    """Return the names of the positional parameters without a default, or None if that says nothing.

    A wrapper that takes anything (`*args`) is looked through, if it says what it wraps. That tells nothing if it takes
    no keywords and wraps what takes one argument other than a message: it makes something else of that, as Werkzeug's
    `Request.application` makes a WSGI application of a function of a request.
    """
    takes_keywords = True
    for follow_wrapped in (False, True):
        try:
            parameters = inspect.signature(application, follow_wrapped=follow_wrapped).parameters.values()
        except (TypeError, ValueError):
            return None
        required = [
            parameter.name
            for parameter in parameters
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
            and parameter.default is parameter.empty
        ]
        if len(required) == 1 and required[0] != "message" and not takes_keywords:
            return None
        if required:
            return required
        takes_keywords = any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters)
        optional = [parameter.name for parameter in parameters if parameter.kind == parameter.POSITIONAL_OR_KEYWORD]
        takes_any = any(parameter.kind == parameter.VAR_POSITIONAL for parameter in parameters)
        if len(optional) == 1 and not takes_any:
            return optional
        if not takes_any:
            return optional if len(optional) > 1 else required
    return None


def _is_double_callable(application: Any, parameter: str) -> bool:
    if inspect.isclass(application):
        return inspect.iscoroutinefunction(application.__call__)
    return parameter == "scope"
