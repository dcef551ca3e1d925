"""Import an application by name, with one clear sentence for each thing that can be wrong.

A name is `module:name`, or a site of several: "/=mysite.wsgi:application /api=service:app /static=./build/".

A mistake in the name is an `AppImportError`, which Gunicorn prints without a traceback. An exception
inside the application's own code is left as it is: its traceback is what helps.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Final

from gunicorn.errors import AppImportError

from uvicorn.applications.asgi import ASGIApplication
from uvicorn.applications.detect import is_wsgi
from uvicorn.applications.mistakes import Mistaken, Mistakes
from uvicorn.applications.mounting import as_application, mount
from uvicorn.applications.router import LifecycleHooks, Router, SingleConsumer, callables
from uvicorn.applications.routes import Mount
from uvicorn.applications.static_targets import DJANGO, is_folder, static_of
from uvicorn.errors import RouteError

__all__ = ["is_site", "load_application", "load_site", "make_application"]

_DEFAULT_NAME: Final = "application"  # as Gunicorn


def is_site(uri: str) -> bool:
    """Whether this names applications below prefixes: "/prefix=module:name ..."."""
    return uri.startswith("/") and "=" in uri


def load_site(uri: str, interface: str = "auto") -> Router | SingleConsumer:
    """Import what is to be served, and make it an application.

    Args:
        uri: "module:name", or one or more of "/prefix=module:name", separated by spaces; in place of a name a folder of
            static files, or "django:" for those of Django. The longest prefix wins.
        interface: what the callables are; "auto" to look at them.

    Raises: AppImportError; anything that the application's own import raises.
    """
    if not is_site(uri):
        return make_application(load_application(uri), uri, interface)
    mounts: dict[str, Mount | Mistaken] = {}
    for part in sorted(uri.split(), key=lambda part: part.endswith(f"={DJANGO}")):  # its settings come with a site
        prefix, _, name = part.partition("=")
        if not prefix.startswith("/") or not name:
            raise AppImportError(f"{part!r} is not a prefix and an application; write /prefix=module:name")
        prefix = prefix.rstrip("/")
        if prefix in mounts:
            raise AppImportError(f"{prefix or '/'!r} is given twice")
        mounts[prefix] = mount(prefix or "/", _application(name, interface))
    return Router([mounts[prefix] for prefix in sorted(mounts, key=len, reverse=True)])


def _application(name: str, interface: str) -> Router | SingleConsumer:
    """Return the application that one part of a site names."""
    if name != DJANGO and not is_folder(name):
        return make_application(load_application(name), name, interface)
    try:
        return as_application(static_of(name))
    except RouteError as error:
        texts = "; ".join(mistake.text for mistake in error.mistakes)
        raise AppImportError(f"Cannot serve {name!r}: {texts}") from None


def load_application(uri: str) -> Any:
    """Import what `module:name` names.

    Args:
        uri: "module", "module:name", or "module:factory('with', literal=arguments)".

    Raises: AppImportError for a name that is wrong; anything that the application's own import raises.
    """
    module_name, _, name = uri.partition(":")
    name = name or _DEFAULT_NAME
    module = _import_module(module_name, name)
    if "(" in name:
        return _call_factory(module, name)
    return _attribute(module, name)


def make_application(loaded: Any, uri: str, interface: str = "auto") -> Router | SingleConsumer:
    """Make what was loaded an application that can be served, with the `on_startup` and `on_shutdown` of its module.

    Only a list of routes, a Router and a message consumer have these hooks: what a WSGI or ASGI application's module
    calls so is its own affair.

    Args:
        interface: what a callable is; "auto" to look at it.

    Raises: AppImportError if it is no application, or there is a mistake in its list of routes.
    """
    inside, wrong = Mistakes(), Mistakes()
    application: Router | SingleConsumer | None = None
    with inside:
        application = as_application(loaded, interface, is_whole=True)
    hooks: list[tuple[Callable[[], Any], ...]] = []
    module = sys.modules.get(uri.partition(":")[0]) if _has_hooks(application or loaded) else None
    for name in ("on_startup", "on_shutdown"):
        with wrong:
            hooks.append(callables(name, getattr(module, name, ())))
    if application is None or wrong:
        raise AppImportError(f"Cannot serve {uri!r}: {RouteError(wrong.found + inside.found)}") from None
    application.hooks = application.hooks.joined(LifecycleHooks(*hooks))
    return application


def _has_hooks(loaded: Any) -> bool:
    """Whether the hooks of its module are for what was loaded, or for the application that was made of it."""
    if isinstance(loaded, SingleConsumer):
        return not any(isinstance(made.target, ASGIApplication) or is_wsgi(made) for made in loaded.consumers())
    return not callable(loaded) or isinstance(loaded, Router)


def _import_module(module_name: str, name: str) -> Any:
    if not all(module_name.split(".")):
        raise AppImportError(f"{module_name!r} is not the name of a module; write module:name")
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != module_name and not module_name.startswith(missing + "."):
            raise  # the application's own import failed
        if module_name.endswith(".py") and os.path.exists(module_name):
            hint = f"; did you mean '{module_name[:-3].replace('/', '.')}:{name}'?"
        else:
            hint = _nearest(module_name, _module_names(module_name))
        raise AppImportError(f"There is no module {missing!r}{hint}") from None


def _attribute(module: ModuleType, name: str) -> Any:
    found: Any = module
    try:
        for part in name.split("."):
            found = getattr(found, part)
        return found
    except AttributeError:
        names = [other for other, value in vars(module).items() if _is_servable(value)]
        raise AppImportError(f"There is no {name!r} in {module.__name__!r}{_nearest(name, names)}") from None


def _call_factory(module: ModuleType, text: str) -> Any:
    """Call "factory('with', literal=arguments)"; unlike with Gunicorn's own `import_app`, it may return a list."""
    try:
        call = ast.parse(text, mode="eval").body
    except SyntaxError:
        call = None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise AppImportError(f"{text!r} is not a call of one function; write module:factory('with', literal=arguments)")
    factory = _attribute(module, call.func.id)
    try:
        args = [ast.literal_eval(arg) for arg in call.args]
        kwargs = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg}
        if len(kwargs) < len(call.keywords):
            raise ValueError("**")
    except ValueError:
        raise AppImportError(f"The arguments of {text!r} must be literals: strings, numbers, lists, ...") from None
    try:
        inspect.signature(factory).bind(*args, **kwargs)
    except TypeError as error:  # also for what cannot be called
        raise AppImportError(f"{text!r} cannot be called: {error}") from None
    except ValueError:
        pass  # some builtins have no signature
    return factory(*args, **kwargs)


def _module_names(module_name: str) -> list[str]:
    """Return the modules that stand beside the one that was asked for."""
    parent, _, _ = module_name.rpartition(".")
    if not parent:
        paths: Iterable[str] = [path or "." for path in sys.path[:2]]
    else:
        paths = getattr(sys.modules.get(parent), "__path__", [])
    prefix = f"{parent}." if parent else ""
    import pkgutil

    return [prefix + info.name for info in pkgutil.iter_modules(list(paths))]


def _nearest(name: str, names: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _is_servable(value: object) -> bool:
    return (callable(value) and not isinstance(value, type)) or isinstance(value, (list, tuple))
