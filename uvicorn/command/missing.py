"""Names of the other package that are not here: what is said when somebody asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NoReturn

__all__ = ["found_elsewhere", "refuse", "refuse_attribute", "refuse_module"]


def found_elsewhere(name: str, places: Mapping[str, str]) -> Any:
    """Return what another module has under this name; the other package has it in several.

    Args:
        places: name -> module.
    """
    return getattr(import_module(places[name]), name)


def refuse(module: str, name: str, instead: Mapping[str, str]) -> NoReturn:
    """Raise AttributeError, which an `import` of the name shows as its reason.

    Args:
        instead: name -> what to do instead, of those that the other package has.
    """
    if name not in instead:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    # An AttributeError would become "cannot import name", without what it says.
    raise ImportError(f"{module}.{name} is not in this package, which serves otherwise: {instead[name]}", name=module)


def refuse_attribute(owner: object, name: str, instead: Mapping[str, str]) -> NoReturn:
    """Raise AttributeError for an attribute of an object, with what to do instead if the other package has it."""
    kind = type(owner).__name__
    if name not in instead:
        raise AttributeError(f"{kind!r} object has no attribute {name!r}")
    raise AttributeError(f"{kind}.{name} is not in this package, which serves otherwise: {instead[name]}")


def refuse_module(module: str, instead: str) -> NoReturn:
    """Raise ImportError for a module of the other package, with what to do instead."""
    raise ImportError(f"{module} is not in this package, which serves otherwise: {instead}", name=module)
