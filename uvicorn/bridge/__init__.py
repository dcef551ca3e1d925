"""Where a consumer runs, and how messages cross; for applications, the two calls from one side to the other."""

from uvicorn.bridge.crossing import run_in_pool, run_on_loop

__all__ = ["run_in_pool", "run_on_loop"]
