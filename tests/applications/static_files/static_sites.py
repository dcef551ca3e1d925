"""Folders of static files for tests, and what asks for them."""

import gzip
import os

from uvicorn import mount, static

OLD = 784111777 * 10**9 + 5  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
PAGE = b"<p>page</p>" * 50
LARGE = bytes(range(256)) * 2048


def write(path, content, at=OLD):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(at, at))


def squeeze(path, end=".gz", content=None, at=OLD):
    write(path.with_name(path.name + end), gzip.compress(path.read_bytes()) if content is None else content, at)


class Served:
    """A folder that is served below /static."""

    def __init__(self, make_site, folder, prefix="/static", **options):
        consumer = static(folder, **options)
        self.files = consumer.target
        self.site = make_site([mount(prefix, consumer)])

    def ask(self, path, method="GET", **fields):
        client = self.site.connect()
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: example.org", *lines])
        client.send(head.encode("latin-1") + b"\r\n\r\n")
        [response] = client.responses(method)
        self.wait()
        return response

    def wait(self):
        """Let a moment pass, in which what was found is not looked at again."""
        self.site.pass_time(0.02)
