"""The layers that the table of behaviour is run over: each carrier makes layers that reach each other."""

import tempfile

from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.local import LocalLayer
from uvicorn.layers.local_place import Place


class LocalCarrier:
    """Processes of one machine, here all in one."""

    keeps = False  # what a worker that was killed had

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="uvicorn-test-")
        self.path = f"{self._directory.name}/layer"

    def layer(self, log, **limits):
        return LocalLayer(f"local://{self.path}", Place(self.path), ChannelLimits(**limits), log)

    @property
    def url(self):
        return f"local://{self.path}"

    def close(self):
        self._directory.cleanup()


CARRIERS = {"local": LocalCarrier}
