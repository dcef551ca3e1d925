"""Consumers that say how they were found, and a client that asks a list of routes."""

REQUEST = "http.request"


def say(message, **groups):
    root, path = message["root_path"], message["path"]
    content = f"{root}|{path}|{','.join(f'{name}={text}' for name, text in sorted(groups.items()))}"
    message["reply_channel"].send({"status": 200, "content": content.encode()})


async def say_async(message, **groups):
    say(message, **groups)


def no_groups(message):
    pass


def year_only(message, year):
    pass


async def service(scope, receive, send):
    pass


def ask(make_site, routes, target="/", method="GET", **options):
    """Return the body of the answer, or its status if it is not 200."""
    client = make_site(routes, **options).connect()
    client.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    [response] = client.responses(method)
    return response.body.decode() if response.status == 200 else response.status
