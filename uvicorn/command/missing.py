"""Names of the other package that are not here: what is said when somebody asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

__all__ = ["refuse", "refuse_module"]


def refuse(module: str, name: str, instead: Mapping[str, str]) -> NoReturn:
    """Raise AttributeError, which an `import` of the name shows as its reason.

    Args:
        instead: name -> what to do instead, of those that the other package has.
    """
    if name not in instead:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    # An AttributeError would become "cannot import name", without what it says.
    raise ImportError(f"{module}.{name} is not in this package, which serves otherwise: {instead[name]}", name=module)


def refuse_module(module: str, instead: str) -> NoReturn:
    """Raise ImportError for a module of the other package, with what to do instead."""
    raise ImportError(f"{module} is not in this package, which serves otherwise: {instead}", name=module)
