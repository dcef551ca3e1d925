"""From one head, or a piece of a body, to what the server wants to know of it."""

import pytest

from uvicorn.errors import ClientError
from uvicorn.wire.head import HeaderPolicy
from uvicorn.wire.limits import Limits
from uvicorn.wire.parser import RequestParser

BASE = {"channel": "http.request", "body": b"", "body_channel": None}


def parser(**limits):
    return RequestParser(BASE, HeaderPolicy({}, frozenset(), "drop", False), Limits(**limits))


@pytest.mark.parametrize(
    ("line", "version", "persists"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n", "1.1", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", "1.1", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive, Close\r\n", "1.1", False),
        (b"GET / HTTP/1.0\r\n", "1.0", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", "1.0", True),
    ],
)
def test_a_head_tells_its_version_and_whether_the_connection_is_kept(line, version, persists):
    message, request, _, kept = parser().head(line + b"\r\n")
    assert (message["http_version"], request.target, kept) == (version, b"/", persists)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"BREW / HTTP/1.1\r\n\r\n", 501),
        (b"get / HTTP/1.1\r\n\r\n", 501),
        (b"GE(T / HTTP/1.1\r\n\r\n", 400),
        (b" / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET /HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHo(st: a\r\n\r\n", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ],
)
def test_what_the_parser_finds_becomes_a_status(head, status):
    with pytest.raises(ClientError) as caught:
        parser().head(head)
    assert caught.value.status == status


def test_the_parsers_words_are_the_reason():
    with pytest.raises(ClientError, match="Invalid header token"):
        parser().head(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")


def test_a_body_is_open_until_its_last_byte():
    requests = parser()
    requests.head(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    requests.begin_body()
    assert (requests.body(b"ab"), requests.is_body_open) == (b"ab", True)
    assert (requests.body(b"c"), requests.is_body_open) == (b"c", False)


def test_trailers_do_not_reach_the_message():
    requests = parser()
    message, _, _, _ = requests.head(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    requests.begin_body()
    assert requests.body(b"1\r\na\r\n0\r\nX-User: eve\r\n\r\n") == b"a"
    assert message["headers"] == [[b"host", b"a"], [b"transfer-encoding", b"chunked"]]


def test_what_a_consumer_does_to_its_addresses_does_not_show_in_the_next_message():
    requests = RequestParser(
        {**BASE, "client": ["192.0.2.1", 1], "server": ["192.0.2.2", 80]},
        HeaderPolicy({}, frozenset(), "drop", False),
        Limits(),
    )
    for _ in range(2):
        message, _, _, _ = requests.head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (message["client"], message["server"]) == (["192.0.2.1", 1], ["192.0.2.2", 80])
        message["client"][0] = message["server"][0] = "changed"


# ---- heads that come again ----

FIELDS = b"Host: a\r\nUser-Agent: b\r\nAccept: c\r\nAccept: d\r\n\r\n"


def test_the_same_fields_again_and_again_give_equal_messages_of_their_own():
    requests = parser()
    heads = [requests.head(b"GET /a HTTP/1.1\r\n" + FIELDS) for _ in range(6)]
    messages = [message for message, _, _, _ in heads]
    assert messages[0]["headers"] == [[b"host", b"a"], [b"user-agent", b"b"], [b"accept", b"c"], [b"accept", b"d"]]
    messages[4]["headers"][0][1] = b"changed"
    messages[4]["channel_session"]["user"] = 1
    assert all(messages[at]["headers"] == messages[0]["headers"] for at in (1, 2, 3, 5))
    assert [message["channel_session"] for message in messages] == [{}, {}, {}, {}, {"user": 1}, {}]
    assert [kept for _, _, _, kept in heads] == [True] * 6


@pytest.mark.parametrize("path", [b"/b", b"/%41?c=d", b"/never-seen-before"])
def test_the_same_fields_with_another_line_give_another_message(path):
    requests = parser()
    for _ in range(5):
        requests.head(b"GET /a HTTP/1.1\r\n" + FIELDS)
    message, request, _, _ = requests.head(b"POST " + path + b" HTTP/1.1\r\n" + FIELDS)
    fresh, _, _, _ = parser().head(b"POST " + path + b" HTTP/1.1\r\n" + FIELDS)
    assert message == fresh
    assert (request.method, request.target) == ("POST", path)


def test_a_known_head_is_known_again_after_others():
    requests = parser()
    heads = [b"GET /a HTTP/1.1\r\n" + FIELDS] * 5 + [b"GET /b HTTP/1.1\r\n" + FIELDS]
    seen = [requests.head(head)[0]["path"] for head in heads * 2]
    assert seen == ["/a", "/a", "/a", "/a", "/a", "/b"] * 2


def test_a_known_head_has_the_addresses_that_were_set_last():
    requests = parser()
    for _ in range(5):
        requests.head(b"GET /a HTTP/1.1\r\n" + FIELDS)
    requests.set_base({**BASE, "client": ["b", 1], "server": ["c", 2]})
    for _ in range(3):
        message = requests.head(b"GET /a HTTP/1.1\r\n" + FIELDS)[0]
        assert (message["client"], message["server"]) == (["b", 1], ["c", 2])


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GE(T / HTTP/1.1", 400),
        (b"BREW / HTTP/1.1", 501),
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/2.1", 505),
        (b"GET /\x01 HTTP/1.1", 400),
        (b"CONNECT a:80 HTTP/1.1", 501),
        (b"GET a HTTP/1.1", 400),
    ],
)
def test_a_wrong_line_is_refused_also_when_its_fields_are_known(line, status):
    requests = parser()
    for _ in range(5):
        requests.head(b"GET / HTTP/1.1\r\n" + FIELDS)
    with pytest.raises(ClientError) as caught:
        requests.head(line + b"\r\n" + FIELDS)
    assert caught.value.status == status


def test_the_fields_are_looked_at_again_when_the_version_changes():
    requests = parser()
    for _ in range(5):
        assert requests.head(b"GET / HTTP/1.1\r\n" + FIELDS)[3] is True
    message, _, _, persists = requests.head(b"GET / HTTP/1.0\r\n" + FIELDS)
    assert (message["http_version"], persists) == ("1.0", False)


@pytest.mark.parametrize(
    "fields",
    [
        b"Host: a\r\nContent-Length: 2\r\n\r\n",
        b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Host: a\r\nConnection: close\r\n\r\n",
        b"Host: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        b"Host: a\r\nConnection: keep-alive\r\n\r\n",
    ],
)
def test_what_the_fields_ask_for_is_seen_each_time(fields):
    requests, seen = parser(), []
    for _ in range(6):
        _, _, special, persists = requests.head(b"POST / HTTP/1.1\r\n" + fields)
        seen.append((special, persists))
        if special.content_length:
            requests.begin_body()
            requests.body(b"2\r\nab\r\n0\r\n\r\n" if special.content_length < 0 else b"ab")
        if not persists:
            requests = parser()
    assert seen == seen[:1] * 6


def test_a_known_line_is_not_enough_where_limits_are_tighter():
    parser().head(b"GET /a-path-of-some-length HTTP/1.1\r\n" + FIELDS)
    with pytest.raises(ClientError) as caught:
        parser(request_line=20).head(b"GET /a-path-of-some-length HTTP/1.1\r\n" + FIELDS)
    assert caught.value.status == 414


def test_a_trusted_scheme_and_root_path_come_with_known_fields():
    policy = HeaderPolicy({b"x-forwarded-proto": b"https"}, frozenset({b"script_name"}), "drop", True)
    requests = RequestParser({**BASE, "scheme": "http", "root_path": ""}, policy, Limits())
    for _ in range(6):
        message, _, _, _ = requests.head(
            b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nSCRIPT_NAME: /app\r\nx_y: z\r\n\r\n"
        )
        assert (message["scheme"], message["root_path"]) == ("https", "/app")
        assert [name for name, _ in message["headers"]] == [b"host", b"x-forwarded-proto", b"script_name"]


def test_a_target_in_absolute_form_names_the_host_also_with_known_fields():
    requests = parser()
    for target, host in [(b"/", b"a"), (b"/", b"a"), (b"http://b/", b"b"), (b"/", b"a"), (b"http://c/", b"c")]:
        message, _, _, _ = requests.head(b"GET " + target + b" HTTP/1.1\r\n" + FIELDS)
        assert message["headers"][0] == [b"host", host]
