"""Names under which other packages import what the other package of this name has."""

import asyncio
import importlib
import inspect
import subprocess
import sys

import pytest

import uvicorn

NAMES = {
    "uvicorn": ("run", "Config", "Server", "main"),
    "uvicorn.main": (
        "main", "run", "Config", "Server", "STARTUP_FAILURE", "LOGGING_CONFIG", "LOG_LEVELS", "INTERFACES", "LIFESPAN",
        "SSL_PROTOCOL_VERSION", "HTTPProtocolType", "InterfaceType", "LifespanType", "LoopFactoryType",
        "WSProtocolType", "ChangeReload", "Multiprocess", "ASGIApplication", "logger",
    ),
    "uvicorn.config": (
        "Config", "LOGGING_CONFIG", "LOG_LEVELS", "TRACE_LOG_LEVEL", "INTERFACES", "LIFESPAN", "LOOP_FACTORIES",
        "SSL_PROTOCOL_VERSION", "STARTUP_FAILURE", "HTTPProtocolType", "WSProtocolType", "LifespanType",
        "LoopFactoryType", "InterfaceType", "UvicornDeprecationWarning", "logger", "import_from_string",
        "ImportFromStringError", "WSGIMiddleware", "ProxyHeadersMiddleware", "ASGIApplication",
    ),
    "uvicorn.server": (
        "Server", "ServerState", "Config", "HANDLED_SIGNALS", "STARTUP_FAILURE", "asyncio_run", "logger",
    ),
    "uvicorn._compat": ("asyncio_run", "iscoroutinefunction"),
    "uvicorn.logging": ("ColourizedFormatter", "DefaultFormatter", "AccessFormatter", "TRACE_LOG_LEVEL"),
    "uvicorn.importer": ("import_from_string", "ImportFromStringError"),
    "uvicorn.supervisors": ("ChangeReload", "Multiprocess", "BaseReload"),
    "uvicorn.supervisors.basereload": ("BaseReload",),
    "uvicorn.middleware.proxy_headers": ("ProxyHeadersMiddleware",),
    "uvicorn.middleware.wsgi": ("WSGIMiddleware",),
    "uvicorn.protocols.utils": (
        "ClientDisconnected", "get_client_addr", "get_local_addr", "get_path_with_query_string", "get_remote_addr",
        "is_ssl",
    ),
    "uvicorn.workers": ("UvicornWorker", "UvicornH11Worker"),
    "uvicorn._types": (
        "ASGI2Application", "ASGI3Application", "ASGIApplication", "ASGIReceiveCallable", "ASGISendCallable",
        "ASGIReceiveEvent", "ASGISendEvent", "Scope", "HTTPScope", "WebSocketScope", "LifespanScope", "WWWScope",
        "WSGIApp", "Environ", "StartResponse", "ExcInfo",
    ),
}  # fmt: skip


@pytest.mark.parametrize("module", NAMES)
def test_each_name_is_there(module):
    found = importlib.import_module(module)
    assert [name for name in NAMES[module] if not hasattr(found, name)] == []


@pytest.mark.parametrize("module", [module for module in NAMES if module.count(".") == 1])
def test_a_module_that_others_use_is_an_attribute_of_the_package(module):
    code = f"import uvicorn; print(uvicorn.{module.partition('.')[2]}.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [module]


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        ("uvicorn.config", "HTTP_PROTOCOLS", "httptools"),
        ("uvicorn.config", "create_ssl_context", "ssl_certfile"),
        ("uvicorn.supervisors", "StatReload", "ChangeReload"),
        ("uvicorn.main", "callback", "uvicorn.run"),
        ("uvicorn.main", "LEVEL_CHOICES", "click"),
        ("uvicorn.config", "ASGI2Middleware", "interface='asgi2'"),
        ("uvicorn.supervisors.multiprocess", "get_subprocess", "Multiprocess"),
        ("uvicorn.middleware.wsgi", "build_environ", "interface='wsgi'"),
    ],
)
def test_what_cannot_be_had_says_so(tmp_path, module, name, words):
    with pytest.raises(ImportError, match=words):
        getattr(importlib.import_module(module), name)
    code = f"from {module} import {name}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert words in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("uvicorn.loops.auto", "get_loop_factory"),
        ("uvicorn.lifespan.on", "uvicorn.Server"),
        ("uvicorn.protocols.http.h11_impl", "uvicorn.Server"),
        ("uvicorn.protocols.websockets.websockets_impl", "uvicorn.Server"),
        ("uvicorn.middleware.asgi2", "interface='asgi2'"),
        ("uvicorn.middleware.message_logger", "of your own"),
        ("uvicorn._subprocess", "Multiprocess"),
        ("uvicorn._ansi", "ColourizedFormatter"),
        ("uvicorn.supervisors.statreload", "ChangeReload"),
        ("uvicorn.supervisors.watchfilesreload", "ChangeReload"),
    ],
)
def test_a_module_that_cannot_be_had_says_so(module, words):
    with pytest.raises(ImportError, match=words):
        importlib.import_module(module)


def test_an_attribute_that_cannot_be_had_says_so():
    from uvicorn.supervisors import Multiprocess

    config = uvicorn.Config(uvicorn.run, log_config=None)
    for owner, name, words in (
        (config, "http_protocol_class", "httptools"),
        (config, "ws_protocol_class", "websockets"),
        (config, "lifespan_class", "uvicorn.Server"),
        (uvicorn.Server(config), "lifespan", "started"),
        (Multiprocess(config, sockets=[]), "restart_all", "uvicorn.run"),
    ):
        with pytest.raises(AttributeError, match=words):
            getattr(owner, name)
        assert not hasattr(owner, name)
        with pytest.raises(AttributeError, match="has no attribute 'nobody_knows_this'"):
            owner.nobody_knows_this  # noqa: B018


def test_values_that_others_read_are_the_other_packages():
    import signal

    import uvicorn.server

    assert uvicorn.server.HANDLED_SIGNALS == (signal.SIGINT, signal.SIGTERM)
    config = uvicorn.Config(uvicorn.run, log_config=None, limit_max_requests=5)
    assert uvicorn.Server(config).limit_max_requests == 5


def test_a_coroutine_is_run_as_uvicorn_worker_does_it():
    from uvicorn._compat import asyncio_run

    async def loop():
        return asyncio.get_running_loop()

    assert isinstance(asyncio_run(loop(), loop_factory=asyncio.SelectorEventLoop), asyncio.SelectorEventLoop)


def test_what_nobody_knows_is_no_attribute():
    for module in NAMES:
        assert not hasattr(importlib.import_module(module), "nobody_knows_this")


def test_the_module_of_the_command_can_be_called(tmp_path):
    code = "import uvicorn.main, uvicorn; uvicorn.main(['--version'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"uvicorn {uvicorn.__version__}")


def test_the_package_is_imported_without_what_serves(tmp_path):
    code = "import sys, uvicorn; print('gunicorn.config' in sys.modules, 'uvicorn.command.server' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_names_are_imported_by_their_strings():
    from uvicorn.importer import ImportFromStringError, import_from_string

    assert import_from_string("uvicorn.main:run") is uvicorn.run
    assert import_from_string(uvicorn.run) is uvicorn.run
    with pytest.raises(ImportFromStringError, match="must be in format"):
        import_from_string("uvicorn")
    with pytest.raises(ImportFromStringError, match=r"There is no 'runs' in 'uvicorn\.main'"):
        import_from_string("uvicorn.main:runs")


def test_helpers_for_scopes_and_transports():
    from uvicorn.protocols import utils

    scope = {"client": ("1.2.3.4", 5), "path": "/ä b", "query_string": b"c=d"}
    assert utils.get_client_addr(scope) == "1.2.3.4:5"
    assert utils.get_client_addr({"client": None}) == ""
    assert utils.get_path_with_query_string(scope) == "/%C3%A4%20b?c=d"

    class Transport:
        def get_extra_info(self, name):
            return {"peername": ("1.2.3.4", 5), "sockname": "/run/x"}.get(name)

    assert utils.get_remote_addr(Transport()) == ("1.2.3.4", 5)
    assert utils.get_local_addr(Transport()) is None
    assert not utils.is_ssl(Transport())


def test_signatures_are_those_that_others_call():
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
    from uvicorn.middleware.wsgi import WSGIMiddleware

    assert list(inspect.signature(ProxyHeadersMiddleware).parameters) == ["app", "trusted_hosts"]
    assert list(inspect.signature(WSGIMiddleware).parameters) == ["app", "workers"]
    assert list(inspect.signature(uvicorn.Server).parameters) == ["config"]
