"""`BaseReload`, by the name under which other packages import it."""

from uvicorn.supervisors.reload import BaseReload

__all__ = ["BaseReload"]
