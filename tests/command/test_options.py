"""The other package's options and environment variables, read by our command."""

import json
import os
import subprocess
import sys

import pytest
from gunicorn.errors import ConfigError

from uvicorn.command.cli import ConsumerApplication
from uvicorn.command.options import OPTIONS, from_environment
from uvicorn.command.settings import Settings


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Return a function that reads a command line, and returns the application; nothing is served."""
    for name in [*os.environ]:
        if name.startswith(("UVICORN_", "GUNICORN_")) or name in ("WEB_CONCURRENCY", "PORT", "FORWARDED_ALLOW_IPS"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gunicorn.config.Chdir.default", str(tmp_path))  # where it was imported

    def read(*args, **environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["uvicorn", *args])
        before = dict(os.environ)
        try:
            return ConsumerApplication("usage", prog="uvicorn")
        finally:
            for name in set(os.environ) - set(before):
                del os.environ[name]

    return read


BOTH = [
    (["--host", "::", "--port", "1"], {"UVICORN_HOST": "::", "UVICORN_PORT": "1"}, "bind", ["[::]:1"]),
    (["--port", "1"], {"UVICORN_PORT": "1"}, "bind", ["127.0.0.1:1"]),
    (["--uds", "/x"], {"UVICORN_UDS": "/x"}, "bind", ["unix:/x"]),
    (["--fd", "3"], {"UVICORN_FD": "3"}, "bind", ["fd://3"]),
    (["--workers", "3"], {"UVICORN_WORKERS": "3"}, "workers", 3),
    (["--reload"], {"UVICORN_RELOAD": "1"}, "reload", True),
    (["--lifespan", "off"], {"UVICORN_LIFESPAN": "off"}, "asgi_lifespan", "off"),
    (["--root-path", "/a"], {"UVICORN_ROOT_PATH": "/a"}, "root_path", "/a"),
    (["--ws-max-size", "9"], {"UVICORN_WS_MAX_SIZE": "9"}, "websocket_max_message_size", 9),
    (["--limit-max-requests", "9"], {"UVICORN_LIMIT_MAX_REQUESTS": "9"}, "max_requests", 9),
    (["--timeout-keep-alive", "9"], {"UVICORN_TIMEOUT_KEEP_ALIVE": "9"}, "keepalive", 9),
    (["--timeout-graceful-shutdown", "9"], {"UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "9"}, "graceful_timeout", 9),
    (["--backlog", "9"], {"UVICORN_BACKLOG": "9"}, "backlog", 9),
    (["--ssl-keyfile", __file__], {"UVICORN_SSL_KEYFILE": __file__}, "keyfile", __file__),
    (["--ssl-ciphers", "x"], {"UVICORN_SSL_CIPHERS": "x"}, "ciphers", "x"),
    (["--app-dir", "src"], {"UVICORN_APP_DIR": "src"}, "pythonpath", "src"),
    (["--log-level", "trace"], {"UVICORN_LOG_LEVEL": "trace"}, "loglevel", "debug"),
    (["--no-access-log"], {"UVICORN_ACCESS_LOG": "false"}, "accesslog", None),
    (["--access-log"], {"UVICORN_ACCESS_LOG": "true"}, "accesslog", "-"),
    (["--forwarded-allow-ips", "*"], {"UVICORN_FORWARDED_ALLOW_IPS": "*"}, "forwarded_allow_ips", ["*"]),
]

OURS = [
    (["--loop", "asyncio"], {"UVICORN_LOOP": "asyncio"}, "loop_factory", "asyncio"),
    (["--no-proxy-headers"], {"UVICORN_PROXY_HEADERS": "false"}, "proxy_headers", False),
    (["--no-date-header"], {"UVICORN_DATE_HEADER": "false"}, "date_header", False),
    (["--no-server-header"], {"UVICORN_SERVER_HEADER": "false"}, "server_header", ""),
    (["--server-header", "me"], {"UVICORN_SERVER_HEADER": "me"}, "server_header", "me"),
    (["--header", "x-a:b"], {"UVICORN_HEADERS": "x-a:b"}, "headers", (("x-a", "b"),)),
    (["--limit-concurrency", "9"], {"UVICORN_LIMIT_CONCURRENCY": "9"}, "limit_concurrency", 9),
    (["--interface", "asgi3"], {"UVICORN_INTERFACE": "asgi3"}, "interface", "asgi"),
    (["--use-colors"], {"UVICORN_USE_COLORS": "true"}, "use_colors", True),
]


@pytest.mark.parametrize(("args", "environment", "setting", "value"), BOTH)
def test_an_option_and_its_environment_variable_come_to_a_setting(command, args, environment, setting, value):
    assert command(*args, "a:b").cfg.settings[setting].get() == value
    assert command("a:b", **environment).cfg.settings[setting].get() == value


@pytest.mark.parametrize(("args", "environment", "field", "value"), OURS)
def test_options_of_our_settings_do_so_too(command, args, environment, field, value):
    assert getattr(Settings.from_config(command("a:b", *args).cfg), field) == value
    assert getattr(Settings.from_config(command("a:b", **environment).cfg), field) == value


@pytest.mark.parametrize(
    ("args", "environment", "name", "value"),
    [
        (["--ws-max-queue", "9"], {"UVICORN_WS_MAX_QUEUE": "9"}, "queue_size", 9),
        (["--ws-ping-interval", "9"], {"UVICORN_WS_PING_INTERVAL": "9"}, "ping_interval", 9.0),
        (["--ws-ping-timeout", "9"], {"UVICORN_WS_PING_TIMEOUT": "9"}, "ping_timeout", 9.0),
        (["--ws-per-message-deflate", "false"], {"UVICORN_WS_PER_MESSAGE_DEFLATE": "0"}, "deflate", False),
    ],
)
def test_options_for_sockets_do_so_too(command, monkeypatch, args, environment, name, value):
    assert getattr(Settings.from_config(command("a:b", *args).cfg).limits.sockets, name) == value
    for variable, text in environment.items():
        monkeypatch.setenv(variable, text)
    monkeypatch.setattr("sys.argv", ["uvicorn", "a:b"])
    before = dict(os.environ)
    made = ConsumerApplication("usage", prog="uvicorn")
    found = getattr(Settings.from_config(made.cfg).limits.sockets, name)
    for variable in set(os.environ) - set(before):
        del os.environ[variable]
    assert found == value


def test_the_command_line_goes_before_the_config_file_and_that_before_the_environment(command, tmp_path):
    (tmp_path / "conf.py").write_text("keepalive = 7\nbind = '127.0.0.1:7'")
    conf = ("-c", str(tmp_path / "conf.py"))
    assert command("a:b", *conf, UVICORN_TIMEOUT_KEEP_ALIVE="8", UVICORN_PORT="8").cfg.keepalive == 7
    assert command("a:b", *conf).cfg.bind == ["127.0.0.1:7"]
    assert command("a:b", *conf, "--timeout-keep-alive", "9").cfg.keepalive == 9
    assert command("a:b", *conf, "--port", "9").cfg.bind == ["127.0.0.1:9"]


def test_address_and_port_may_come_from_both(command):
    assert command("a:b", "--port", "9", UVICORN_HOST="10.0.0.1").cfg.bind == ["10.0.0.1:9"]


def test_the_application_may_come_from_the_environment(command):
    assert command(UVICORN_APP="a:b").app_uri == "a:b"
    assert command("c:d").app_uri == "c:d"


@pytest.mark.parametrize(("name", "uri"), [("a:b", "a:b()"), ("a:b()", "a:b()"), ("a", "a:application()")])
def test_a_factory_is_called(command, name, uri):
    assert command(name, "--factory").app_uri == uri


def test_an_env_file_is_read(command, tmp_path, monkeypatch):
    monkeypatch.setenv("OF_THE_ENV_FILE", "")
    monkeypatch.delenv("OF_THE_ENV_FILE")
    (tmp_path / "vars").write_text("OF_THE_ENV_FILE=1")
    seen = {}
    monkeypatch.setattr("uvicorn.command.cli.load_environment", lambda path: seen.update(path=path))
    command("a:b", "--env-file", "vars")
    assert seen == {"path": "vars"}


def test_an_env_file_says_what_gunicorn_reads_from_the_environment(command, tmp_path):
    file = tmp_path / "vars"
    file.write_text("WEB_CONCURRENCY=3\nFORWARDED_ALLOW_IPS=10.1.2.3\n")
    cfg = command("a:b", "--env-file", str(file)).cfg
    assert (cfg.workers, cfg.forwarded_allow_ips) == (3, ["10.1.2.3"])
    cfg = command("a:b", "--env-file", str(file), "--workers", "2", "--forwarded-allow-ips", "10.9.9.9").cfg
    assert (cfg.workers, cfg.forwarded_allow_ips) == (2, ["10.9.9.9"])


def test_what_is_given_goes_before_an_env_file_though_it_is_the_default(command, tmp_path):
    file = tmp_path / "vars"
    file.write_text("WEB_CONCURRENCY=3\nFORWARDED_ALLOW_IPS=*\n")
    options = "--env-file", str(file), "--workers", "1", "--forwarded-allow-ips", "127.0.0.1,::1"
    cfg = command("a:b", *options).cfg
    assert (cfg.workers, cfg.forwarded_allow_ips) == (1, ["127.0.0.1", "::1"])


def test_an_env_file_says_the_same_after_a_hup(command, tmp_path, monkeypatch):
    file = tmp_path / "vars"
    file.write_text("WEB_CONCURRENCY=3\nFORWARDED_ALLOW_IPS=10.1.2.3\n")
    application = command("a:b", "--env-file", str(file))
    monkeypatch.setenv("WEB_CONCURRENCY", "3")  # as the file has left them
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.1.2.3")
    application.do_load_config()
    assert (application.cfg.workers, application.cfg.forwarded_allow_ips) == (3, ["10.1.2.3"])


def test_an_env_file_with_a_wrong_number_of_workers_is_told_with_its_name(command, tmp_path, capsys):
    (tmp_path / "vars").write_text("WEB_CONCURRENCY=some\n")
    with pytest.raises(SystemExit):
        command("a:b", "--env-file", str(tmp_path / "vars"))
    assert "WEB_CONCURRENCY of env_file" in capsys.readouterr().err


def test_environment_variables_are_read_as_the_other_package_reads_them(command):
    cfg = command("a:b", UVICORN_PROXY_HEADERS="0", UVICORN_DATE_HEADER="no", UVICORN_SERVER_HEADER="0").cfg
    assert (cfg.proxy_headers, cfg.date_header, cfg.server_header) == (False, False, "")
    assert command("a:b", UVICORN_HEADERS="x-a:b x-c:d").cfg.headers == ["x-a:b", "x-c:d"]
    assert command("a:b", UVICORN_HEADERS="x-a: b and c").cfg.headers == ["x-a: b and c"]


def test_an_empty_environment_variable_is_as_none(command):
    empty = {f"UVICORN_{name}": "" for name in ("PORT", "WORKERS", "LIMIT_CONCURRENCY", "DATE_HEADER")}
    cfg = command("a:b", **empty).cfg
    assert (cfg.bind, cfg.workers, cfg.limit_concurrency, cfg.date_header) == (["127.0.0.1:8000"], 1, 0, True)


def test_a_number_that_is_no_port_ends_the_command(command, capsys):
    with pytest.raises(SystemExit):
        command("a:b", "--port", "80000")
    assert "argument --port: invalid port value: '80000'" in capsys.readouterr().err


def test_what_has_no_effect_is_kept_for_the_log(command):
    warnings = command("a:b", "--http", "h11", "--ws", "wsproto").cfg.uvicorn_warnings
    assert len(warnings) == 2
    assert command("a:b", "--http", "auto", "--ws", "auto", "--reset-contextvars").cfg.uvicorn_warnings == []


# ---- names that mean two things ----


def test_a_switch_before_the_application_does_not_swallow_it(command):
    made = command("--server-header", "shop.main:app")
    assert made.app_uri == "shop.main:app"
    assert Settings.from_config(made.cfg).server_header == "uvicorn"
    assert Settings.from_config(command("shop.main:app", "--server-header").cfg).server_header == "uvicorn"


@pytest.mark.parametrize("ending", ["json", "yaml"])
def test_a_log_configuration_of_the_other_kind_is_for_its_loggers(command, tmp_path, ending):
    path = tmp_path / f"log.{ending}"
    path.write_text(json.dumps({"version": 1}))
    made = command("a:b", "--log-config", str(path))
    assert made.cfg.logconfig is None
    assert made.cfg.logger_class.options["log_config"] == str(path)


def test_a_log_configuration_in_ini_is_for_the_loggers_that_it_names(command, tmp_path):
    path = tmp_path / "log.ini"
    path.write_text("[loggers]\nkeys=root,gunicorn.error\n")
    assert command("a:b", "--log-config", str(path)).cfg.logconfig == str(path)
    path.write_text("[loggers]\nkeys=root,uvicorn\n")
    assert command("a:b", "--log-config", str(path)).cfg.logconfig is None


def test_to_say_one_thing_twice_and_differently_ends_with_a_sentence(command, capsys):
    with pytest.raises(SystemExit):
        command("a:b", "--port", "1", "--bind", "127.0.0.1:2")
    assert "--port and --bind say the same thing, and say it differently" in capsys.readouterr().err
    assert command("a:b", "--timeout-keep-alive", "3", "--keep-alive", "3").cfg.keepalive == 3


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [("UVICORN_PORT", "x", "a number of a port, 0 to 65535"), ("UVICORN_FACTORY", "maybe", "true or false")],
)
def test_a_wrong_value_in_the_environment_ends_with_a_sentence(command, capsys, variable, value, words):
    with pytest.raises(SystemExit):
        command("a:b", **{variable: value})
    assert f"the environment variable {variable}: it must be {words}, not '{value}'" in capsys.readouterr().err


def test_every_option_has_a_variable():
    for option in OPTIONS:
        with pytest.raises((ValueError, ConfigError)) if option.kind in (int, float) else _nothing():
            from_environment({f"UVICORN_{option.param.upper()}": "x" if option.kind in (int, float) else "1"})


def _nothing():
    import contextlib

    return contextlib.nullcontext()


MISSING = [
    (["--env-file", "no.env"], "env_file: there is no file '{folder}/no.env': {another}"),
    (["--log-level", "loud"], "loglevel: it must be one of critical, error, warning, info, debug, trace, not 'loud'"),
    (
        ["--reload", "--reload-dir", "no"],
        "reload_dirs: there is no folder '{folder}/no': {another}",
    ),
    (["--log-config", "no.ini"], "log_config: there is no file '{folder}/no.ini': {another}"),
    (["--log-config", "no.json"], "log_config: there is no file '{folder}/no.json': {another}"),
    (
        ["--log-config", "broken.json"],
        "log_config: 'broken.json' cannot be read: Expecting value: {where}",
    ),
    (["--log-config", "."], "log_config: '{folder}' is a folder: name a file"),
    (["--certfile", "no.pem"], "certfile: there is no file '{folder}/no.pem': {another}"),
    (["--ssl-keyfile", "no.key"], "keyfile: there is no file '{folder}/no.key': {another}"),
]


@pytest.mark.parametrize(("args", "sentence"), MISSING, ids=str)
def test_what_is_named_and_not_there_ends_the_command_with_one_sentence(command, tmp_path, capsys, args, sentence):
    (tmp_path / "broken.json").write_text("no json")
    with pytest.raises(SystemExit):
        command("app:app", *args)
    another, where = "create it, or name another one", "line 1 column 1 (char 0)"
    expected = sentence.format(folder=tmp_path, another=another, where=where)
    assert capsys.readouterr().err == f"\nError: {expected}\n"


def test_a_certificate_is_found_in_the_folder_of_chdir(command, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.pem").touch()
    assert command("app:app", "--chdir", "site", "--certfile", "a.pem").cfg.certfile == "a.pem"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(command, tmp_path, capsys):
    (tmp_path / "a.pem").touch(mode=0)
    with pytest.raises(SystemExit):
        command("app:app", "--certfile", "a.pem")
    assert f"may not read '{tmp_path}/a.pem'" in capsys.readouterr().err


def test_a_host_in_forwarded_allow_ips_is_told_and_left_out(command):
    app = command("app:app", "--forwarded-allow-ips", "10.0.0.1,proxy.local")
    assert app.cfg.forwarded_allow_ips == ["10.0.0.1"]
    assert ["proxy.local has no effect" in warning for warning in app.cfg.uvicorn_warnings] == [True]


def test_a_host_in_the_variable_that_gunicorn_reads_is_told_and_left_out(tmp_path):
    code = (
        "import sys; sys.argv = ['uvicorn', 'app:app']\n"
        "from uvicorn.command.cli import ConsumerApplication\n"
        "cfg = ConsumerApplication('usage', prog='uvicorn').cfg\n"
        "print(cfg.forwarded_allow_ips, len(cfg.uvicorn_warnings))"
    )
    environment = {**os.environ, "FORWARDED_ALLOW_IPS": "::1, proxy.local"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "['::1'] 1\n"
