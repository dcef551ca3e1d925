"""Redis servers of our own: in a temporary folder, on a unix socket or a free port, each ended by its process id."""

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from patience import PATIENCE_SECONDS, until
from ports import free_port

__all__ = ["RedisServer", "program", "tls_options"]


def program():
    """Return the path of a server's program, or None if none is installed."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


def tls_options(certificates):
    words = ["--tls-cert-file", certificates.certificate, "--tls-key-file", certificates.key]
    return [*words, "--tls-ca-cert-file", certificates.trusted, "--tls-auth-clients", "no", "--tls-replication", "yes"]


class RedisServer:
    """One server.

    Args:
        port: 0 for a unix socket.
        options: of the program, such as "--maxmemory".
        keeps: keep the data on disk, for a restart with them.
        certificates: files of an authority; the server then has TLS, on a port, beside its unix socket.
        tls_port: this port; 0 for any.
    """

    def __init__(self, *options, port=0, keeps=False, certificates=None, tls_port=0):
        # A short path: that of a unix socket has a limit.
        self.folder = Path(tempfile.mkdtemp(prefix="rd"))
        self.port = port
        self.certificates = certificates
        self.tls_port = (tls_port or free_port()) if certificates else 0
        self._options = options
        self._keeps = keeps
        self.process = None
        self.start()

    @property
    def path(self):
        return self.folder / "s"

    @property
    def url(self):
        if self.certificates:
            return f"rediss://127.0.0.1:{self.tls_port}/0?ssl_ca_certs={self.certificates.trusted}"
        return f"redis://127.0.0.1:{self.port}/0" if self.port else f"unix://{self.path}"

    def start(self):
        words = [program(), "--port", str(self.port), "--dir", str(self.folder), "--save", ""]
        words += ["--appendonly", "yes" if self._keeps else "no", "--appendfsync", "always", *self._options]
        words += ["--unixsocket", str(self.path)] if not self.port else ["--bind", "127.0.0.1"]
        if self.certificates:
            words += ["--tls-port", str(self.tls_port), *tls_options(self.certificates)]
        with open(self.folder / "log.txt", "ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log)
        until(self.answers, "the answer of Redis")

    def answers(self):
        try:
            return b"PONG" in self.ask("PING")
        except OSError:
            return False

    def ask(self, *words):
        """Send one command; return what comes at once."""
        with socket.socket(socket.AF_INET if self.port else socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_SECONDS)
            connection.connect(("127.0.0.1", self.port) if self.port else str(self.path))
            parts = [word.encode() if isinstance(word, str) else word for word in words]
            connection.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts))
            return connection.recv(65536)

    def client(self):
        import redis

        return redis.Redis.from_url(self.url, socket_timeout=PATIENCE_SECONDS, socket_connect_timeout=PATIENCE_SECONDS)

    def stop(self):
        """End it in order."""
        self.signal(signal.SIGTERM)
        self.process.wait(PATIENCE_SECONDS)

    def signal(self, number):
        self.process.send_signal(number)

    def restart(self, loses=False):
        """Stop it, and start it again, with or without its data."""
        self.stop()
        if loses:
            shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        self.start()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
