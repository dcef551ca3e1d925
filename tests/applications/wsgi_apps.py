"""WSGI applications of tests, and a client that asks them."""

GET = b"GET /a%20b/caf%C3%A9?x=1&y=%20 HTTP/1.1\r\nHost: site.example:81\r\n"
PLAIN = [("Content-Type", "text/plain")]


class App:
    """Answer with `parts`, and remember the environ."""

    def __init__(self, *parts, status="200 OK", headers=PLAIN):
        self.parts, self.status, self.headers = parts, status, headers

    def __call__(self, environ, start_response):
        self.environ = environ
        start_response(self.status, list(self.headers))
        return list(self.parts)


def serve(make_site, app, request=GET + b"\r\n", **options):
    """Serve one request in a thread of the pool; return the client."""
    site = make_site(app, **options)
    client = site.connect()
    client.send(request)
    if site.pool.queue:
        site.run_job(in_thread=True)
    return client


def post(body, *fields):
    lines = [b"POST /p HTTP/1.1", b"Host: a", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
