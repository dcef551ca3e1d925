"""`uvicorn.Config`: what it makes of its parameters, and what tools do with it."""

import asyncio
import inspect
import logging
import socket
import sys

import pytest
import trustme
import uvloop

import uvicorn
from uvicorn.command.settings import Settings

asgi_module = """
async def app(scope, receive, send): ...
class holder:
    inner = app
def make(): return app
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in ("WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "config_site.py").write_text(asgi_module)
    monkeypatch.syspath_prepend(tmp_path)
    yield "config_site"
    sys.modules.pop("config_site", None)


async def app(scope, receive, send):
    pass


def config(application=app, **options):
    return uvicorn.Config(application, **{"log_config": None} | options)


def told(caplog):
    """Return what the server has logged: an earlier test may have left what logs, too."""
    return [record for record in caplog.records if record.name == "uvicorn.error"]


def test_settings_are_those_of_the_other_package_where_they_differ():
    cfg = config().settings()
    settings = Settings.from_config(cfg)
    assert cfg.bind == ["127.0.0.1:8000"]
    assert (cfg.keepalive, settings.proxy_headers, cfg.workers, cfg.reload) == (5, True, 1, False)
    assert (settings.server_header, settings.date_header, settings.headers) == ("uvicorn", True, ())


def test_settings_are_read_when_they_are_needed():
    made = config()
    made.port = 1
    made.headers.append(("x-a", "b"))
    assert made.settings().bind == ["127.0.0.1:1"]
    assert Settings.from_config(made.settings()).headers == (("x-a", "b"),)


def test_our_and_gunicorns_settings_are_taken_by_their_names():
    cfg = config(threads=3, queue_size=7, worker_connections=9).settings()
    assert (cfg.threads, cfg.queue_size, cfg.worker_connections) == (3, 7, 9)


def test_an_unknown_name_is_refused():
    with pytest.raises(TypeError, match="no parameter and no setting 'thread'"):
        config(thread=3)


def test_our_environment_variables_hold(monkeypatch):
    monkeypatch.setenv("UVICORN_QUEUE_SIZE", "3")
    assert config().settings().queue_size == 3


def test_the_number_of_workers_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert config().workers == 3
    assert config(workers=2).workers == 2
    assert config().use_subprocess


def test_warnings_are_told_at_once(caplog):
    config(http="h11", h11_max_incomplete_event_size=1)
    assert [record.levelname for record in told(caplog)] == ["WARNING", "WARNING"]


def test_defaults_are_silent(caplog):
    config()
    assert told(caplog) == []


# ---- applications ----


@pytest.mark.parametrize("name", ["app", "holder.inner"])
def test_an_application_is_loaded_by_its_name(module, name):
    made = config(f"{module}:{name}")
    made.load()
    assert made.loaded
    assert inspect.iscoroutinefunction(made.loaded_app)


def test_a_factory_is_called(module, caplog):
    made = config(f"{module}:make", factory=True)
    made.load()
    assert inspect.iscoroutinefunction(made.loaded_app)
    assert told(caplog) == []
    made = config(f"{module}:make")
    made.load()
    assert inspect.iscoroutinefunction(made.loaded_app)
    assert "factory detected" in caplog.text


def test_a_factory_that_is_none_is_told(caplog):
    made = config(app, factory=True)
    with pytest.raises(SystemExit):
        made.load()
    assert "Error loading ASGI app factory" in caplog.text


def test_a_subclass_may_put_something_around_the_application():
    def wsgi(environ, start_response):
        pass

    class Wrapped(uvicorn.Config):
        def load(self):
            super().load()
            self.loaded_app = app

    made = Wrapped(wsgi, interface="wsgi", log_config=None)
    made.load()
    assert made.application().only.is_async


def test_a_callable_whose_parameters_say_nothing_is_asgi():
    made = config(lambda *args: app(*args))
    made.load()
    assert made.application().only.is_async


def test_a_router_can_be_served_twice():
    router = uvicorn.Router([uvicorn.route("http.request", app_consumer)])
    first, second = (config(router) for _ in range(2))
    first.load()
    second.load()
    one, two = first.application(), second.application()
    assert one.consumers()[0] is not two.consumers()[0]


def app_consumer(message):
    pass


# ---- what tools call ----


def test_a_socket_is_bound_and_not_listening(caplog):
    caplog.set_level(logging.INFO)
    with config(port=0).bind_socket() as sock:
        assert sock.getsockname()[1] != 0
        assert sock.get_inheritable()
        assert not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    assert "Uvicorn running on http://127.0.0.1:" in caplog.text


def test_a_port_in_use_ends_it():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit):
        config(port=taken.getsockname()[1]).bind_socket()


@pytest.mark.parametrize(
    ("loop", "factory"),
    [
        ("auto", uvloop.new_event_loop),
        ("uvloop", uvloop.new_event_loop),
        ("asyncio", asyncio.SelectorEventLoop),
        ("none", None),
        ("asyncio:SelectorEventLoop", asyncio.SelectorEventLoop),
        (asyncio.SelectorEventLoop, asyncio.SelectorEventLoop),
    ],
)
def test_loops_are_made_by_factories(loop, factory):
    assert config(loop=loop).get_loop_factory() is factory


def test_a_loop_that_is_none_is_refused():
    with pytest.raises(ValueError, match="module:factory"):
        config(loop="gevent").get_loop_factory()
    with pytest.raises(AttributeError, match="get_loop_factory"):
        config().setup_event_loop()


def test_reload_needs_a_name():
    assert config("a:b", reload=True).should_reload
    assert not config(reload=True).should_reload


def test_tls_may_have_a_password_and_a_factory(tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("example.org")
    pem = tmp_path / "all.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(pem))
    made = config(ssl_certfile=pem, ssl_keyfile=pem)
    assert made.is_ssl
    made.load()
    assert made.ssl is not None
    seen = []

    def factory(given, make_default):
        seen.append(given)
        return make_default()

    made = config(ssl_certfile=pem, ssl_keyfile=pem, ssl_context_factory=factory)
    made.load()
    assert seen == [made]


def test_an_env_file_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setenv("FROM_ENV_FILE", "before")
    monkeypatch.delenv("FROM_ENV_FILE")
    (tmp_path / ".env").write_text("FROM_ENV_FILE=yes\n")
    config(env_file=tmp_path / ".env")
    import os

    assert os.environ["FROM_ENV_FILE"] == "yes"
    monkeypatch.delenv("FROM_ENV_FILE")


def test_an_env_file_says_how_many_workers_and_whom_to_believe(tmp_path, monkeypatch):
    for name in ("WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"):
        monkeypatch.setenv(name, "before")  # and so it is put back
        monkeypatch.delenv(name)
    (tmp_path / ".env").write_text("WEB_CONCURRENCY=3\nFORWARDED_ALLOW_IPS=10.1.2.3\n")
    made = config(env_file=tmp_path / ".env")
    assert (made.workers, made.forwarded_allow_ips) == (3, "10.1.2.3")


def test_run_shows_the_parameters_of_config():
    shown = inspect.signature(uvicorn.run).parameters
    assert set(inspect.signature(uvicorn.Config).parameters) <= set(shown)
    assert shown["host"].kind == inspect.Parameter.KEYWORD_ONLY


def test_channels1_without_a_master_gives_way_to_a_later_channels(monkeypatch, caplog):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "4.2.2")
    made = config("nothing:app", channels1=True)
    with pytest.raises(SystemExit):
        made.load_app()
    assert "channels 4.2.2 is installed, and --channels1 is for projects of Channels 1" in caplog.text


def test_an_env_file_that_is_not_there_is_told(tmp_path, caplog):
    config(env_file=tmp_path / ".env")
    assert f"env_file: there is no file '{tmp_path}/.env': nothing is loaded" in caplog.messages


def test_a_folder_to_watch_that_is_not_there_is_told(tmp_path, caplog):
    made = config(reload=True, reload_dirs=[str(tmp_path), str(tmp_path / "no")])
    assert made.reload_dirs == [tmp_path]
    assert f"reload_dirs: there is no folder '{tmp_path}/no': create it, or name another one" in caplog.messages


@pytest.mark.parametrize(
    ("given", "words"),
    [({"log_level": "loud"}, "log_level must be one of"), ({"log_config": "no.json"}, "log_config: there is no file")],
)
def test_run_ends_with_one_sentence_for_what_is_not_there(given, words):
    with pytest.raises(SystemExit, match=f"Error: {words}"):
        uvicorn.run(app, **given)


@pytest.mark.parametrize("name", ["no.pem", "broken.pem"])
def test_a_certificate_that_cannot_be_used_is_told_in_one_sentence(tmp_path, caplog, name):
    (tmp_path / "broken.pem").write_text("no certificate")
    with pytest.raises(SystemExit):
        config(ssl_certfile=str(tmp_path / name)).load()
    [line] = [record.getMessage() for record in told(caplog)]
    expected = "there is no file" if name == "no.pem" else "cannot be used"
    assert str(tmp_path / name) in line
    assert expected in line
