"""Where connections come from: unix sockets, several binds, IPv6, proxies in front."""

import json
import socket
import struct
from pathlib import Path

import httpx
import pytest
from plain_http import PLAIN
from processes import address_of, eventually

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
DESCRIBE = b"GET /%s/describe HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def version_2(client, server):
    """Return a PROXY header of version 2 for IPv4."""
    addresses = socket.inet_aton(client[0]) + socket.inet_aton(server[0]) + struct.pack("!HH", client[1], server[1])
    return SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(addresses)) + addresses


V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 2222\r\n"
V2 = version_2(("192.0.2.1", 1111), ("192.0.2.2", 2222))


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def described(answer):
    assert answer.startswith(b"HTTP/1.1 200 OK"), answer
    return json.loads(answer.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize("side", ["sync", "async"])
def test_a_unix_socket_serves_curl_and_httpx(serve, tmp_path, side):
    path = str(tmp_path / "server.sock")
    server = serve(binds=(f"unix:{path}",))

    assert server.curl("--unix-socket", path, f"http://test/{side}/hello").startswith(b"hello from")
    with httpx.Client(transport=httpx.HTTPTransport(uds=path, verify=False), base_url="http://test", **PLAIN) as client:
        message = client.get(f"/{side}/describe").json()
        assert client.post(f"/{side}/digest", content=b"x" * 300_000).json()[0] == 300_000
    assert message["client"] is None
    assert message["server"] is None


def test_a_unix_socket_is_gone_after_the_end(serve, tmp_path):
    path = tmp_path / "server.sock"
    server = serve(binds=(f"unix:{path}",))
    assert path.exists()

    server.stop()

    assert not path.exists()


def test_two_binds_serve_both(serve):
    server = serve(binds=("127.0.0.1:0", "127.0.0.1:0"))

    ports = []
    for url in server.urls():
        with server.raw(address_of(url)) as raw:
            ports.append(described(raw.send(DESCRIBE % b"sync").receive())["server"][1])
    assert ports == [address_of(url)[1] for url in server.urls()]
    assert len(set(ports)) == 2


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6_serves_and_is_told_to_consumers(serve):
    server = serve(binds=("[::1]:0",))

    message = server.get("/sync/describe").json()
    assert message["client"][0] == "::1"
    assert message["server"] == ["::1", server.address[1]]


def test_reuse_port_lets_each_worker_have_a_socket_of_its_own(serve):
    with socket.socket() as holder:  # of a port: reuse_port cannot do with port 0
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))  # and does not listen; nobody else is given the port meanwhile
        port = holder.getsockname()[1]
        server = serve("--reuse-port", "--workers", "2", binds=(f"127.0.0.1:{port}",), is_ready=False)
        server.url = f"http://127.0.0.1:{port}"  # the master listens at none, and says so

        def both_listen():
            table = Path("/proc/net/tcp").read_text()
            return table.count(f" 0100007F:{port:04X} 00000000:0000 0A ") == 2

        eventually(both_listen, "two listening sockets")
        for _ in range(10):
            assert server.get("/sync/hello").status_code == 200


# ---- the PROXY protocol ----


@pytest.fixture(scope="module")
def behind_proxy(serve_module):
    return serve_module("--proxy-protocol", "auto")


@pytest.mark.parametrize("side", [b"sync", b"async"])
@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_a_proxy_header_tells_the_client(behind_proxy, side, header):
    with behind_proxy.raw() as raw:
        message = described(raw.send(header, DESCRIBE % side).receive())

    assert message["client"] == ["192.0.2.1", 1111]
    assert message["server"] == ["192.0.2.2", 2222]


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_a_proxy_header_that_comes_byte_by_byte_is_read(behind_proxy, header):
    with behind_proxy.raw() as raw:
        for byte in header:
            raw.send(bytes([byte]))
        assert described(raw.send(DESCRIBE % b"sync").receive())["client"] == ["192.0.2.1", 1111]


def test_a_proxy_header_holds_for_all_requests_of_its_connection(behind_proxy):
    with behind_proxy.raw() as raw:
        raw.send(V1).get("/async/describe").get("/sync/describe", "Connection: close")
        assert raw.receive().count(b'"client": ["192.0.2.1", 1111]') == 2


def test_a_connection_without_a_proxy_header_is_served(behind_proxy):
    assert behind_proxy.get("/sync/describe").json()["client"][0] == "127.0.0.1"


def test_a_malformed_proxy_header_is_refused(behind_proxy):
    with behind_proxy.raw() as raw:
        assert raw.send(b"PROXY TCP4 nonsense\r\n", DESCRIBE % b"sync").receive().startswith(b"HTTP/1.1 400 ")


def test_a_proxy_header_of_another_version_is_refused(serve):
    server = serve("--proxy-protocol", "v2")

    with server.raw() as raw:
        assert raw.send(V1, DESCRIBE % b"sync").receive().startswith(b"HTTP/1.1 400 ")  # no request line
    with server.raw() as raw:
        assert described(raw.send(V2, DESCRIBE % b"sync").receive())["client"] == ["192.0.2.1", 1111]


def test_a_proxy_header_of_a_peer_that_is_not_allowed_is_refused(serve):
    server = serve("--proxy-protocol", "v1", "--proxy-allow-from", "192.0.2.9")

    with server.raw() as raw:
        assert raw.send(V1, DESCRIBE % b"sync").receive().startswith(b"HTTP/1.1 403 ")


def test_a_proxy_header_is_nonsense_where_it_is_not_asked_for(serve):
    server = serve()
    for header, status in ((V1, b"400"), (V2, b"400")):
        with server.raw() as raw:
            assert raw.send(header, DESCRIBE % b"sync").receive().startswith(b"HTTP/1.1 %b " % status)


# ---- forwarded headers ----


@pytest.mark.parametrize(
    ("args", "headers", "scheme", "root_path"),
    [
        ((), {"X-Forwarded-Proto": "https"}, "https", ""),
        ((), {"X-Forwarded-Proto": "http"}, "http", ""),
        ((), {"X-Forwarded-Ssl": "on"}, "https", ""),
        ((), {"SCRIPT_NAME": "/mounted"}, "http", "/mounted"),
        (("--forwarded-allow-ips", "192.0.2.9"), {"X-Forwarded-Proto": "https", "SCRIPT_NAME": "/mounted"}, "http", ""),
        (("--forwarded-allow-ips", "*"), {"X-Forwarded-Proto": "https"}, "https", ""),
        (("--forwarded-allow-ips", "127.0.0.0/8"), {"X-Forwarded-Proto": "https"}, "https", ""),
    ],
)
def test_forwarded_headers_are_believed_of_allowed_peers(serve, args, headers, scheme, root_path):
    server = serve(*args)

    for side in ("sync", "async"):
        message = server.get(f"/{side}/describe", headers=headers).json()
        assert (message["scheme"], message["root_path"]) == (scheme, root_path)
        assert message["client"][0] == "127.0.0.1"  # nobody has said another


def test_forwarded_headers_that_contradict_each_other_are_refused(serve):
    response = serve().get("/sync/hello", headers={"X-Forwarded-Proto": "https", "X-Forwarded-Ssl": "off"})

    assert response.status_code == 400


@pytest.mark.parametrize(
    ("header_map", "status", "count"), [("drop", 200, 0), ("refuse", 400, 0), ("dangerous", 200, 1)]
)
def test_header_names_with_an_underscore_are_treated_as_header_map_says(serve, header_map, status, count):
    response = serve("--header-map", header_map).get("/sync/describe", headers={"X_Odd": "1"})

    assert response.status_code == status
    assert response.text.count("x_odd") == count
