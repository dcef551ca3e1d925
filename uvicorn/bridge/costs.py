"""What calls of one function cost, whoever hands them to a thread.

Frameworks wrap what they run: partials, bound methods, a runner that takes the endpoint as an argument. `cost_of` looks
through these and keeps one `Cost` for the function behind: so an endpoint, a dependency, a background task and a
synchronous receiver of a signal are each known by what they need.

The key is the code object: functions that are made anew for each request share it. So do all functions that one
decorator has made; where these say what they wrap, that is looked at, and else the functions that they refer to are a
part of the key. The table has a bound, as code may be made at run time, too. Any thread may look.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import BuiltinMethodType, CellType, FunctionType, GeneratorType, MethodType
from typing import Any, Final

from uvicorn.bridge.consumer import name_of, runs_long_of
from uvicorn.bridge.governor import Load
from uvicorn.bridge.tally import Tally

__all__ = ["Cost", "cost_of", "known_costs"]

_MOST: Final = 4096  # arbitrary: more functions than an application hands to threads
#: runners of frameworks -> the keyword argument that is the function which they call
_RUNNERS: Final = {"_run_sync_endpoint": "function"}


#: what Django runs for the receivers of a signal
_SIGNALS: Final = "django.dispatch.dispatcher.Signal."


class Cost:
    """What calls of one function cost.

    Attributes:
        name: how logs call the function.
        is_long: a call may take any time (`runs_long`).
        is_exit: it lets something go that was taken before: it is called whatever happens.
        tally: what its calls took.
        is_passing: it is the signal of a request's beginning or end, or an exit: no work of the request itself.
    """

    __slots__ = ("is_exit", "is_long", "is_passing", "load", "name", "tally")

    def __init__(self, name: str, is_exit: bool = False, is_long: bool = False) -> None:
        self.name = name
        self.is_long = is_long
        self.is_exit = is_exit
        self.is_passing = is_exit or name.startswith(_SIGNALS)
        self.load = Load()
        self.tally = Tally()


_known: dict[object, Cost] = {}


def cost_of(function: Callable[..., Any], args: tuple[Any, ...] = ()) -> Cost:
    """Return what a call of this function costs. Runs on: any thread."""
    is_long = False
    key: object
    while True:
        if type(function) is partial:
            inner: Any = function.func
            if function.keywords:
                runner = _RUNNERS.get(getattr(inner, "__name__", ""))
                if runner is not None and callable(function.keywords.get(runner)):
                    inner = function.keywords[runner]
            args = function.args + args
            function = inner
        elif type(function) is BuiltinMethodType and args and function.__name__ == "run":  # Context.run: to_thread
            function, args = args[0], args[1:]
        elif type(function) is MethodType and function.__name__ == "thread_handler":  # asgiref's SyncToAsync
            function = getattr(function.__self__, "func", function.__func__)
        elif type(function) is FunctionType and callable(wrapped := getattr(function, "__wrapped__", None)):
            is_long = is_long or runs_long_of(function)
            function = wrapped
        else:
            break
    if type(function) is FunctionType:
        key = _key_of_function(function)
        if function.__name__ == "_next" and args and type(args[0]) is GeneratorType:  # Starlette's step of an iterator
            key = args[0].gi_code
            found = _known.get(key)
            return found if found is not None else _add(key, Cost(f"{args[0].__qualname__} (next)"))
    elif type(function) is MethodType:
        key = _key_of_method(function)
    else:
        key = getattr(function, "__code__", None) or (type(function), getattr(function, "__name__", ""))
    found = _known.get(key)
    if found is not None:
        return found
    name = name_of(function)
    generator = getattr(getattr(function, "__self__", None), "gen", None)
    if isinstance(generator, GeneratorType):
        name = f"{generator.__qualname__} ({getattr(function, '__name__', '')})"
    is_exit = getattr(function, "__name__", "") in ("__exit__", "close")
    return _add(key, Cost(name, is_exit, is_long or runs_long_of(function)))


def _key_of_function(function: FunctionType) -> object:
    cells = function.__closure__
    if cells is None:
        return function.__code__
    return (function.__code__, *[inner.__code__ for cell in cells if (inner := _function_in(cell)) is not None])


def _function_in(cell: CellType) -> FunctionType | None:
    try:
        inner = cell.cell_contents
    except ValueError:  # it is empty yet
        return None
    return inner if type(inner) is FunctionType else None


def known_costs() -> list[Cost]:
    """Return all that is known. Runs on: any thread."""
    return list(_known.values())


def _key_of_method(method: MethodType) -> object:
    code = getattr(method.__func__, "__code__", method.__func__)
    generator = getattr(method.__self__, "gen", None)  # of contextlib's context managers
    return code if type(generator) is not GeneratorType else (code, generator.gi_code)


def _add(key: object, cost: Cost) -> Cost:
    if len(_known) >= _MOST:
        _known.pop(next(iter(_known), None), None)
    return _known.setdefault(key, cost)
