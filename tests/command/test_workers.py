"""`UvicornWorker.CONFIG_KWARGS`: the parameters of the other package, said by a subclass of the worker."""

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from uvicorn.command.settings import OURS, Settings
from uvicorn.command.worker import ASGIWorker
from uvicorn.workers import UvicornH11Worker, UvicornWorker


class Log(Logger):
    """Gunicorn's, with what it was told."""

    def __init__(self, cfg):
        super().__init__(cfg)
        self.lines = []

    def warning(self, msg, *args, **kwargs):
        self.lines.append(msg % args)


@pytest.fixture
def begin(monkeypatch):
    """Return a function that begins a worker with CONFIG_KWARGS, and returns it."""
    monkeypatch.setattr(ASGIWorker, "init_process", lambda self: None)
    workers = []

    def begin(kwargs, cfg=None, base=UvicornWorker):
        cfg = cfg or Config()
        worker = type("Mine", (base,), {"CONFIG_KWARGS": kwargs})(0, 0, [], None, 30, cfg, Log(cfg))
        workers.append(worker)
        worker.init_process()
        return worker

    yield begin
    for worker in workers:
        worker.tmp.close()


def test_they_go_before_all_settings(begin):
    cfg = Config()
    cfg.set("keepalive", 9)
    cfg.set("server_header", "mine")
    worker = begin({"timeout_keep_alive": 3, "server_header": False, "loop": "asyncio", "lifespan": "off"}, cfg)
    settings = Settings.from_config(worker.cfg)
    assert (settings.limits.keepalive, settings.server_header, settings.loop_factory) == (3, "", "asyncio")
    assert worker.cfg.asgi_lifespan == "off"


def test_they_hold_where_gunicorn_does_not_know_our_settings(begin):
    cfg = Config()
    for setting in OURS:
        del cfg.settings[setting.name]
    worker = begin({"headers": [("x-a", "b")], "proxy_headers": True, "limit_concurrency": 3}, cfg)
    settings = Settings.from_config(worker.cfg)
    assert (settings.headers, settings.proxy_headers, settings.limit_concurrency) == ((("x-a", "b"),), True, 3)


def test_requests_are_counted_up_to_the_limit(begin):
    assert begin({"limit_max_requests": 7}).max_requests == 7


def test_what_has_no_effect_is_told(begin):
    lines = begin({"http": "h11", "port": 1, "workers": 3}).log.lines
    assert len(lines) == 2
    assert "port, workers are for Gunicorn's own settings" in lines[0]
    assert "http='h11' has no effect" in lines[1]


def test_without_any_nothing_is_said_or_changed(begin):
    worker = begin({})
    assert worker.log.lines == []
    assert Settings.from_config(worker.cfg) == Settings.from_config(Config())


def test_the_old_name_for_h11_has_the_loop_of_asyncio(begin):
    assert Settings.from_config(begin(UvicornH11Worker.CONFIG_KWARGS).cfg).loop_factory == "asyncio"
