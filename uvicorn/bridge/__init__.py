"""Where a consumer runs, and how messages cross; for applications, the two calls from one side to the other."""

from uvicorn.bridge.pool_call import run_in_pool
from uvicorn.bridge.visits import run_on_loop

__all__ = ["run_in_pool", "run_on_loop"]
