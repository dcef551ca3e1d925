"""A PostgreSQL server of our own: in a temporary folder, on a unix socket, by a user who is not root."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from processes import PATIENCE, eventually


def programs():
    """Return the folder of PostgreSQL's programs, or None if it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextlib.contextmanager
def running():
    """Run a server; give its URL for Django."""
    # A short path: that of a unix socket has a limit.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    other = {}
    if os.getuid() == 0:
        name = next(name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()})
        entry = pwd.getpwnam(name)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        other = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    process = None
    try:
        data = folder / "data"
        subprocess.run(
            [programs() / "initdb", "-D", data, "-U", "app", "-A", "trust", "-N", "-E", "UTF8"],
            cwd=folder,
            check=True,
            capture_output=True,
            timeout=PATIENCE,
            **other,
        )
        with open(folder / "log.txt", "wb") as log:
            process = subprocess.Popen(
                [programs() / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
                cwd=folder,
                stdout=log,
                stderr=log,
                **other,
            )
        eventually(lambda: "ready to accept connections" in (folder / "log.txt").read_text(), "PostgreSQL")
        yield f"postgresql://app@/postgres?host={folder}"
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # its fast shutdown
            process.wait(PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)
