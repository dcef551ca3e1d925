"""Environment variables from a file (`env_file`)."""

from __future__ import annotations

import logging
import os
from typing import Final

__all__ = ["load_environment"]

logger: Final = logging.getLogger("uvicorn.error")


def load_environment(path: str | os.PathLike[str]) -> None:
    """Take environment variables from a file, if it is there; those that are set already stay. Raises: RuntimeError."""
    if not os.path.exists(path):  # many have none where the environment has it all
        logger.warning("env_file: there is no file %r: nothing is loaded", os.path.abspath(path))
        return
    try:
        from dotenv import load_dotenv
    except ImportError:
        raise RuntimeError("env_file needs python-dotenv: pip install python-dotenv") from None
    logger.info("Loading environment from '%s'", path)
    load_dotenv(dotenv_path=path)
