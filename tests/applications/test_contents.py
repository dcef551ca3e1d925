"""What is served, in words."""

from uvicorn import Router, consumer, include, mount, route
from uvicorn.applications.contents import served
from uvicorn.applications.mounting import as_application


def threaded(message):
    pass


def other(message):
    pass


async def looped(message):
    pass


def wsgi_site(environ, start_response):
    return []


async def asgi_site(scope, receive, send):
    pass


HERE = __name__


def test_one_application_is_one_line():
    assert served(as_application(wsgi_site)) == [("/", f"WSGI application {HERE}.wsgi_site", "in threads")]
    assert served(as_application(asgi_site)) == [("/", f"ASGI application {HERE}.asgi_site", "on the event loop")]
    assert served(as_application(threaded)) == [("/", f"consumer {HERE}.threaded", "in threads")]
    assert served(as_application(consumer(looped))) == [("/", f"consumer {HERE}.looped", "on the event loop")]


def test_routes_are_told_together_where_the_first_of_them_stands():
    application = Router([
        mount("/first", asgi_site),
        route("http.request", threaded),
        mount("/second", wsgi_site),
        include([route("http.request", looped), route("websocket.connect", looped)], path="^/in"),
    ])  # fmt: skip
    assert served(application) == [
        ("/first", f"ASGI application {HERE}.asgi_site", "on the event loop"),
        ("/", f"3 routes: consumer: {HERE}.threaded, {HERE}.looped", "2 on the event loop, 1 in threads"),
        ("/second", f"WSGI application {HERE}.wsgi_site", "in threads"),
    ]


def test_pools_are_named_with_their_sizes():
    application = Router([
        mount("/reports", wsgi_site, pool="reports", threads=3),
        route("http.request", threaded, pool="reports"),
    ])  # fmt: skip
    assert [each.where for each in served(application)] == ["in 3 threads of pool reports"] * 2
    [asgi] = served(Router([mount("/", asgi_site, pool="reports", threads=3)]))
    assert asgi.where == "on the event loop and in 3 threads of pool reports"


def test_a_mount_of_routes_has_a_line_of_its_own_and_so_have_those_in_it():
    inner = Router([route("http.request", threaded), mount("/deep", asgi_site)])
    assert [(each.prefix, each.where) for each in served(Router([mount("/api", inner)]))] == [
        ("/api", "in threads"),
        ("/api/deep", "on the event loop"),
    ]


def test_of_many_consumers_some_are_named():
    def third(message):
        pass

    def fourth(message):
        pass

    routes = [route("http.request", each, path=f"^/{each.__name__}") for each in (threaded, other, third, fourth)]
    [line] = served(Router(routes))
    assert line.what.startswith("4 routes: consumer: ")
    assert line.what.endswith(" and 1 more")
