"""The units for systemd that come with the documentation."""

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from uvicorn.command.cli import CommandConfig

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "systemd"


def read(name):
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(FOLDER / name)
    return parser


def test_the_command_of_the_service_is_one_and_the_page_shows_the_same():
    service = read("app.service")["Service"]
    words = shlex.split(service["ExecStart"])
    assert words[0].endswith("/uvicorn")
    found = CommandConfig("", prog="uvicorn").parser().parse_args(words[1:])
    assert found.args == ["app:consumer"]
    page = (FOLDER.parent / "deployment.md").read_text()
    for key in ("Type", "NotifyAccess", "ExecStart", "ExecReload", "WatchdogSec", "KillMode", "TimeoutStopSec"):
        assert f"\n{key}={service[key]}\n" in page


def test_the_service_is_ready_when_it_says_so_and_the_master_alone_is_told_to_stop():
    service = read("app.service")["Service"]
    assert (service["Type"], service["NotifyAccess"], service["KillMode"]) == ("notify", "main", "mixed")
    assert int(service["TimeoutStopSec"]) > 30  # the default of graceful_timeout
    assert read("app.service")["Unit"]["Requires"] == "app.socket"
    assert "ListenStream" in read("app.socket")["Socket"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_the_service_hardened():
    words = ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=29", FOLDER / "app.service"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this version knows no --offline")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Overall exposure level" in done.stdout
