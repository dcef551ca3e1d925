"""`--check-config`: what a command says of its line, without a server."""

import subprocess
import sys

from processes import COMMANDS, PATIENCE, PYTHONPATH


def check_config(folder, command, *args):
    """Run it in a folder, with none of the environment; return the process that has ended."""
    return subprocess.run(
        [sys.executable, *COMMANDS[command], "--check-config", *args],
        cwd=folder,
        env={"PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
