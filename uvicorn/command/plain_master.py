"""What our worker class changes in Gunicorn's own master, for plain `gunicorn`. Runs in the master.

It is given to us by the hook `when_ready`, once. The `uvicorn` command has a master that does all of this itself
(`arbiter.py`).
"""

from __future__ import annotations

import os
import time
from typing import Any

from uvicorn.command.before_reload import BeforeReload, why_not_taken
from uvicorn.command.replacement import one_look
from uvicorn.command.share import roll_of_master
from uvicorn.command.stopping import stop_master
from uvicorn.command.systemd import Notifier, give_back

__all__ = ["adjust_master"]


def adjust_master(cfg: Any) -> None:
    """Have the master count no worker that is leaving, and neither wait for one when it reloads, nor stop unannounced.

    After a worker that could not start it waits a while before it makes another one. systemd is told READY=1 when the
    first worker is ready, and not by Gunicorn as soon as it listens.

    Args:
        cfg: Gunicorn's; its hook `when_ready` is given the master.
    """
    when_ready = cfg.when_ready

    def begin(master: Any) -> None:
        if not getattr(master, "is_orderly", False):
            _adjust(master)
        when_ready(master)

    cfg.set("when_ready", begin)


class _AreMade(Exception):
    """The new workers of a reload are made, and the old ones told to leave."""


def _adjust(master: Any) -> None:
    manage, stop, read_again, roll = master.manage_workers, master.stop, master.reload, roll_of_master()
    is_reloading = False
    give_back(os.environ)
    systemd: Notifier | None = Notifier(dict(os.environ), master.log)  # workers have the variable, as ever

    def manage_workers() -> None:
        before = master._num_workers
        with one_look(master.WORKERS.values()) as leaving:
            wanted = before + leaving
            if time.monotonic() < roll.retry_at:
                wanted = min(wanted, len(master.WORKERS))  # make none now
            master._num_workers = wanted  # not `num_workers`: that calls a hook
            try:
                manage()
            finally:
                master._num_workers += before - wanted
        if is_reloading:
            raise _AreMade
        tell_systemd()

    def tell_systemd() -> None:
        nonlocal systemd
        if systemd is not None and roll.has_server():
            systemd.ready("Serving")
            systemd = None

    def reload() -> None:
        """Do not wait for the old workers, deaf to all signals: they may stay for long, or for good.

        A configuration that cannot be taken ends Gunicorn's master; here it goes on with the one before.
        """
        nonlocal is_reloading
        before = BeforeReload(master)
        is_reloading = True
        try:
            read_again()
        except _AreMade:
            before.forget()
        except (SystemExit, Exception) as error:
            if os.getpid() != master.pid:
                raise  # the end of a worker
            before.restore()
            master.log.error("The reload is given up, the old workers go on: %s", why_not_taken(error))
        finally:
            is_reloading = False

    master.manage_workers = manage_workers
    master.reload = reload
    master.stop = lambda graceful=True: stop_master(master, stop, graceful)
