"""Logs that cannot be written: told once at the begin and once at the end, and not for each record."""

import errno
import io
import logging
import sys
import types

import pytest

from uvicorn.command.log_guard import Episode, guard_logs


class Disk(io.StringIO):
    """A stream that is full when the test says so."""

    error = None

    def write(self, text):
        if self.error is not None:
            raise self.error
        return super().write(text)


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def log():
    """Two loggers like Gunicorn's, on two disks, guarded."""
    made = types.SimpleNamespace(disks={})
    for name in ("access", "error"):
        logger = logging.Logger(f"test.{name}")
        made.disks[name] = Disk()
        logger.addHandler(logging.StreamHandler(made.disks[name]))
        setattr(made, f"{name}_log", logger)
    guard_logs(made)
    return made


def test_a_full_disk_is_one_episode_with_a_begin_and_an_end(log, capsys):
    disk = log.disks["access"]
    log.access_log.info("first")
    for _ in range(2):
        disk.error = FULL
        for number in range(50):
            log.access_log.info("lost %d", number)
        disk.error = None
        for _ in range(3):
            log.access_log.info("back")

    told = [
        "Cannot write the access log: [Errno 28] No space left on device; "
        "what comes now is lost, until it can be written again",
        "The access log can be written again; about 50 lines were lost",
    ]
    assert log.disks["error"].getvalue().splitlines() == told * 2
    assert disk.getvalue().splitlines() == ["first"] + ["back"] * 6
    assert capsys.readouterr().err == ""


def test_an_error_log_that_fails_is_told_on_the_standard_error(log, monkeypatch, capsys):
    monkeypatch.setattr(sys, "__stderr__", sys.stderr)
    log.disks["error"].error = FULL
    log.error_log.error("lost")
    log.error_log.error("lost")
    log.disks["error"].error = None
    log.error_log.error("back")
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0].partition(";")[0] for line in told] == [
        "Cannot write the error log",
        "The error log can be written again",
    ]
    assert log.disks["error"].getvalue() == "back\n"


def test_both_logs_on_one_full_disk_write_nothing_and_raise_nothing(log, monkeypatch, capsys):
    log.disks["access"].error = log.disks["error"].error = FULL
    monkeypatch.setattr(sys, "__stderr__", None)
    log.access_log.info("lost")
    log.error_log.error("lost")
    log.disks["access"].error = log.disks["error"].error = None
    log.access_log.info("back")
    assert "The access log can be written again" in log.disks["error"].getvalue()
    assert "The error log" not in capsys.readouterr().err


def test_a_standard_error_that_is_what_fails_is_not_told_of_it(monkeypatch):
    disk = Disk()
    monkeypatch.setattr(sys, "stderr", disk)
    monkeypatch.setattr(sys, "__stderr__", disk)
    logger = logging.Logger("test")
    logger.addHandler(logging.StreamHandler(disk))
    guard_logs(types.SimpleNamespace(error_log=logger, access_log=None))
    disk.error = FULL
    logger.error("lost")
    disk.error = None
    logger.error("back")
    assert disk.getvalue() == "back\n"


def test_a_mistake_of_the_application_is_left_to_logging(log, capsys):
    log.access_log.info("%d", "no number")
    assert "TypeError" in capsys.readouterr().err
    assert log.disks["error"].getvalue() == ""


def test_a_handler_that_both_loggers_share_by_their_parent_is_guarded_once(log, capsys):
    parent, disk = logging.Logger("parent"), Disk()
    parent.addHandler(logging.StreamHandler(disk))
    made = types.SimpleNamespace(access_log=logging.Logger("a"), error_log=logging.Logger("b"))
    made.access_log.parent = made.error_log.parent = parent
    guard_logs(made)
    disk.error = FULL
    made.access_log.info("lost")
    made.error_log.error("lost")
    assert "Traceback" not in capsys.readouterr().err


def test_a_logger_of_another_kind_is_left_alone():
    guard_logs(object())
    guard_logs(types.SimpleNamespace(access_log=object(), error_log=None))


def test_an_episode_counts_from_the_first_failure_to_the_next_success():
    episode = Episode()
    assert [episode.on_failed(), episode.on_failed(), episode.count] == [True, False, 2]
    assert [episode.on_succeeded(), episode.count, episode.on_failed()] == [2, 0, True]
