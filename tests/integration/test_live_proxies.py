"""The configurations of docs/deployment.md, behind proxies that nobody here wrote."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
from pathlib import Path

import httpx
import pytest
from certificates import Files
from ports import free_port
from processes import PATIENCE, eventually
from tls_sockets import TLSSocket

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "deployment.md"
PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"
NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused;
    scgi_temp_path {folder}/unused;
{block}
}}
"""


def blocks(language):
    """Return the texts of the guide's blocks of this language."""
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(tmp_path_factory.mktemp("run") / "app.sock")


@pytest.fixture(scope="module")
def server(serve_module, path):
    """The server, which trusts no address: those of the clients are of this machine, too."""
    args = ("--threads", "2", "--forwarded-allow-ips", "192.0.2.1", "--access-logfile", "-")
    return serve_module(*args, app="proxied_consumers:routes", binds=("127.0.0.1:0", f"unix:{path}"))


class Front:
    """A proxy in front of the server."""

    def __init__(self, port, context):
        self.port = port
        self.context = context

    def get(self, path, **headers):
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(verify=self.context, trust_env=False, timeout=PATIENCE) as client:
            response = client.get(f"https://localhost:{self.port}{path}", headers=fields)
        assert response.status_code == 200
        return response.text

    def socket(self, path):
        url = f"wss://localhost:{self.port}{path}"
        return TLSSocket(url, self.context)


@contextlib.contextmanager
def running(program, config, folder, port, context, *words):
    found = shutil.which(program, path=PATH)
    if found is None:
        pytest.skip(f"{program} is not installed")
    (folder / "conf").write_text(config)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([found, *words, str(folder / "conf")], stdout=log, stderr=log)
    try:

        def listens():
            assert process.poll() is None, (folder / "log").read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return True

        eventually(listens, f"{program} to listen")
        yield Front(port, context)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def nginx(server, files, path, tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    [block] = blocks("nginx")
    for ours, theirs in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/run/app.sock", path),
        ("/etc/ssl/example.org.pem", files.certificate),
        ("/etc/ssl/example.org.key", files.key),
    ):
        assert ours in block
        block = block.replace(ours, theirs)
    config = NGINX.format(folder=folder, block=block)
    with running("nginx", config, folder, port, files.context(), "-p", str(folder), "-c") as front:
        yield front


@contextlib.contextmanager
def behind_haproxy(number, folder, files, path):
    both, port = folder / "both.pem", free_port()
    both.write_bytes(Path(files.certificate).read_bytes() + Path(files.key).read_bytes())
    block = blocks("haproxy")[number]
    for ours, theirs in (
        ("bind :443", f"bind 127.0.0.1:{port}"),
        ("/etc/ssl/example.org.both.pem", str(both)),
        ("/run/app.sock", path),
    ):
        assert ours in block
        block = block.replace(ours, theirs)
    with running("haproxy", block, folder, port, files.context(), "-db", "-f") as front:
        yield front


@pytest.fixture(scope="module")
def haproxy(server, files, path, tmp_path_factory):
    with behind_haproxy(0, tmp_path_factory.mktemp("haproxy"), files, path) as front:
        yield front


CADDY = """
{
    admin off
    auto_https disable_redirects
}
"""


@pytest.fixture(scope="module")
def caddy(server, files, path, tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("caddy"), free_port()
    [block] = [block for block in blocks("text") if "reverse_proxy unix//" in block]
    for ours, theirs in (
        ("example.org {", f"https://localhost:{port} {{\n    bind 127.0.0.1\n    tls {files.certificate} {files.key}"),
        ("/run/app.sock", path),
    ):
        assert ours in block
        block = block.replace(ours, theirs)
    words = ("run", "--adapter", "caddyfile", "--config")
    with running("caddy", CADDY + block, folder, port, files.context(), *words) as front:
        yield front


@pytest.fixture(params=["nginx", "haproxy", "caddy"])
def front(request):
    return request.getfixturevalue(request.param)


FORGED = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "http", "Forwarded": "for=203.0.113.9;proto=http"}


def test_the_client_and_its_scheme_come_through_a_proxy(front):
    assert json.loads(front.get("/x")) == {"client": ["127.0.0.1", 0], "scheme": "https", "path": "/x"}
    assert front.get("/wsgi/") == front.get("/asgi/") == "127.0.0.1 https"


@pytest.mark.parametrize("name", FORGED)
def test_what_a_client_of_the_proxy_writes_changes_nothing(front, name):
    described = json.loads(front.get("/", **{name: FORGED[name]}))
    assert described == {"client": ["127.0.0.1", 0], "scheme": "https", "path": "/"}


def test_a_websocket_comes_through_a_proxy(front):
    with front.socket("/socket") as opened:
        assert json.loads(opened.recv(PATIENCE)) == {"client": ["127.0.0.1", 0], "scheme": "wss", "path": "/socket"}


def test_the_access_log_shows_the_client_of_a_proxy(front, server):
    path = f"/logged-{front.port}"
    front.get(path)
    server.wait_for_log(f'"GET {path} HTTP/1.1" 200')
    [line] = [line for line in server.log().splitlines() if path in line]
    assert line.startswith("127.0.0.1 ")


@pytest.mark.parametrize("name", FORGED)
def test_a_peer_that_is_not_trusted_changes_nothing(server, name):
    headers = {name.replace("_", "-"): FORGED[name].replace("=http", "=https").replace("http", "https")}
    described = server.get("/", headers=headers).json()
    assert (described["client"][0], described["scheme"]) == ("127.0.0.1", "http")
    assert described["client"][1] > 0


def test_a_proxy_header_says_the_client_and_its_port(serve, files, tmp_path):
    path = str(tmp_path / "app.sock")
    args = ("--proxy-protocol", "v2", "--forwarded-allow-ips", "192.0.2.1")
    serve(*args, app="proxied_consumers:routes", binds=("127.0.0.1:0", f"unix:{path}"))
    with behind_haproxy(1, tmp_path, files, path) as front:
        described = json.loads(front.get("/", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="http"))
    assert (described["client"][0], described["scheme"]) == ("127.0.0.1", "https")
    assert described["client"][1] > 0  # that of the connection to the proxy


def test_plain_gunicorn_believes_no_address_unless_it_is_told_to(serve):
    field = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    described = serve(command="gunicorn", app="proxied_consumers:routes").get("/", headers=field).json()
    assert (described["client"][0], described["scheme"]) == ("127.0.0.1", "https")

    told = {"UVICORN_PROXY_HEADERS": "true"}
    described = serve(command="gunicorn", env=told, app="proxied_consumers:routes").get("/", headers=field).json()
    assert (described["client"], described["scheme"]) == (["203.0.113.9", 0], "https")
