"""A master, its replica, and a Sentinel that watches them."""

import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from patience import PATIENCE_SECONDS, until
from ports import free_port
from redis_server import RedisServer, program, tls_options

__all__ = ["RedisSentinel"]

_NAME = "mymaster"


class RedisSentinel:
    """One Sentinel, which is enough to decide.

    It takes the master for dead after a minute of silence: on a busy machine one may be silent for seconds. Of one that
    was killed it is to find out sooner.

    Args:
        certificates: all three have TLS.
    """

    def __init__(self, certificates=None):
        self.certificates = certificates
        self.folder = Path(tempfile.mkdtemp(prefix="rs"))
        self.process = None
        self.servers = []
        self.port = free_port()
        try:
            self.master = self._server()
            self.replica = self._server("--replicaof", "127.0.0.1", str(self._port_of(self.master)))
            until(lambda: b"master_link_status:up" in self.replica.ask("INFO", "replication"), "the replica")
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self):
        if self.certificates:
            trusted = self.certificates.trusted
            return f"rediss+sentinel://127.0.0.1:{self.port}/{_NAME}/0?ssl_ca_certs={trusted}"
        return f"redis+sentinel://127.0.0.1:{self.port}/{_NAME}/0"

    def _server(self, *options):
        if self.certificates:
            made = RedisServer(*options, certificates=self.certificates)
        else:
            made = RedisServer(*options, port=free_port())
        self.servers.append(made)
        return made

    def _port_of(self, server):
        return server.tls_port or server.port

    def _start(self):
        port = self._port_of(self.master)
        lines = [
            "bind 127.0.0.1",
            f"port {0 if self.certificates else self.port}",
            f"sentinel monitor {_NAME} 127.0.0.1 {port} 1",
            f"sentinel down-after-milliseconds {_NAME} 60000",
            f"sentinel failover-timeout {_NAME} 2000",
            f"unixsocket {self.folder / 's'}",
        ]
        if self.certificates:
            words = [f"tls-port {self.port}"]
            options = tls_options(self.certificates)
            words += [f"{name[2:]} {value}" for name, value in zip(options[::2], options[1::2], strict=True)]
            lines = words + lines
        config = self.folder / "sentinel.conf"
        config.write_text("\n".join(lines) + "\n")
        with open(self.folder / "log.txt", "ab") as log:
            self.process = subprocess.Popen([program(), str(config), "--sentinel"], stdout=log, stderr=log)
        until(self._knows_the_replica, "a Sentinel that knows the replica")

    def _knows_the_replica(self):
        try:
            return b"slaves=1" in self._ask(b"INFO sentinel\r\n")
        except OSError:
            return False

    def _ask(self, line):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_SECONDS)
            connection.connect(str(self.folder / "s"))
            connection.sendall(line)
            return connection.recv(65536)

    def kill_master(self):
        """Kill the master, and have Sentinel find that out."""
        self.master.process.kill()
        self.master.process.wait()
        assert b"OK" in self._ask(f"SENTINEL SET {_NAME} down-after-milliseconds 500\r\n".encode())

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for server in self.servers:
            server.close()
        shutil.rmtree(self.folder, ignore_errors=True)
