"""The proxies in front of the server: their configurations, each with one pooled connection that all clients share."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from attacks.running import free_port, started

__all__ = ["FRONTS", "Front"]

_NGINX = """\
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/answers;
    fastcgi_temp_path {folder}/unused;
    uwsgi_temp_path {folder}/unused;
    scgi_temp_path {folder}/unused;
    large_client_header_buffers 4 64k;
    # As much as it lets through: what it refuses tells nothing of the server.
    ignore_invalid_headers off;
    underscores_in_headers on;
    merge_slashes off;
    upstream app {{
        server 127.0.0.1:{server};
        keepalive 1;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Passed nginx;
            proxy_next_upstream off;
            proxy_request_buffering {buffering};
            proxy_pass_request_headers on;
        }}
    }}
}}
"""
_HAPROXY = """\
global
    nbthread 1
    tune.bufsize 65536
    tune.maxrewrite 1024
    tune.http.maxhdr 256
defaults
    mode http
    timeout connect 10s
    timeout client 30s
    timeout server 30s
    retries 0
frontend front
    bind 127.0.0.1:{port}
    {lenient}
    http-request set-header X-Passed haproxy
    default_backend app
backend app
    http-reuse always
    server app 127.0.0.1:{server} pool-max-conn 1 pool-low-conn 1 pool-purge-delay 60s
"""


_CADDY = """\
{{
    admin off
    auto_https off
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{server} {{
        header_up X-Passed caddy
        header_up -X-Forwarded-*
        transport http {{
            compression off
            max_conns_per_host 1
            keepalive 60s
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Front:
    """One proxy with one configuration."""

    name: str
    program: str
    config: str
    words: tuple[str, ...]  # of its command; {config} and {folder} are filled in
    version: tuple[str, ...]
    values: tuple[tuple[str, str], ...] = ()

    def is_installed(self) -> bool:
        """Whether the program is there."""
        return shutil.which(self.program, path=_path()) is not None

    def shown_version(self) -> str:
        """Return the first line of what it says of itself."""
        done = subprocess.run([self._found(), *self.version], capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).splitlines()[0]

    @contextlib.contextmanager
    def running(self, server: int, folder: Path) -> Iterator[int]:
        """Run it in front of the server on this port; yield its own port.

        Raises: OSError.
        """
        folder.mkdir()
        port = free_port()
        config = folder / "proxy.conf"
        config.write_text(self.config.format(folder=folder, server=server, port=port, **dict(self.values)))
        words = [word.format(config=config, folder=folder) for word in self.words]
        with started([self._found(), *words], port, folder / "log"):
            yield port

    def _found(self) -> str:
        return shutil.which(self.program, path=_path()) or self.program


def _path() -> str:
    """Return where programs are looked for: those of Debian's proxies are in a folder of the administrator's."""
    return f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin"


def _nginx(name: str, buffering: str) -> Front:
    words = ("-p", "{folder}", "-c", "{config}")
    return Front(name, "nginx", _NGINX, words, ("-v",), (("buffering", buffering),))


def _haproxy(name: str, lenient: str) -> Front:
    return Front(name, "haproxy", _HAPROXY, ("-db", "-f", "{config}"), ("-v",), (("lenient", lenient),))


FRONTS = (
    _nginx("nginx", "on"),
    _nginx("nginx, bodies as they come", "off"),
    _haproxy("HAProxy", ""),
    _haproxy("HAProxy, invalid requests accepted", "option accept-invalid-http-request"),
    Front("Caddy", "caddy", _CADDY, ("run", "--adapter", "caddyfile", "--config", "{config}"), ("version",)),
)
