"""What all engines of HTTP/2 do alike, asked without a connection around them."""

from __future__ import annotations

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2_clients import ENGINES
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, PingFrame, SettingsFrame, WindowUpdateFrame

from uvicorn.wire import h2_engines
from uvicorn.wire.h2_engine import EngineError
from uvicorn.wire.h2_engines import engine_maker, find_engine
from uvicorn.wire.limits import Http2Limits

GET = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
CANCEL, FRAME_SIZE = 8, 6
GONE = 1


class Listener:
    """An owner that remembers what it was told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        assert name.startswith("on_")
        return lambda *values: self.told.append((name, *values))

    def named(self, name):
        return [values for found, *values in self.told if found == name]


class Peers:
    """An engine and its client."""

    def __init__(self, name, **limits):
        self.engine = engine_maker(name, Http2Limits(**limits))[0]()
        self.engine.start()
        self.owner = Listener()
        self.client = H2Connection(H2Configuration(client_side=True))
        self.client.initiate_connection()
        self.turn()

    def turn(self):
        """Let both read what the other has said; return what the client understood."""
        self.engine.receive(self.client.data_to_send(), self.owner)
        found = self.client.receive_data(self.engine.output(self.owner))
        self.engine.receive(self.client.data_to_send(), self.owner)
        return found

    def request(self, stream, ends=True):
        self.client.send_headers(stream, GET, end_stream=ends)
        self.turn()

    def fail(self):
        """Have the client make a mistake that ends the connection: it is raised, or told with the last bytes."""
        try:
            self.engine.receive(b"\0\0\x01\x06\0\0\0\0\0\0", self.owner)  # a PING of one byte
        except EngineError as error:
            code = error.code
        else:
            assert GoAwayFrame in map(type, frames_of(self.engine.output(self.owner)))
            ((code, _),) = self.owner.named("on_end")
        assert code == FRAME_SIZE


@pytest.fixture(params=ENGINES)
def make_peers(request):
    return lambda **limits: Peers(request.param, **limits)


@pytest.fixture
def peers(make_peers):
    return make_peers()


def frames_of(data):
    found, view = [], memoryview(data)
    while view:
        frame, length = Frame.parse_frame_header(view[:9])
        frame.parse_body(view[9 : 9 + length])
        found.append(frame)
        view = view[9 + length :]
    return found


# ---- which one ----


@pytest.mark.parametrize(
    ("name", "installed", "found"),
    [
        ("auto", {"ngh2", "h2"}, "ngh2"),
        ("auto", {"h2"}, "h2"),
        ("auto", set(), ""),
        ("ngh2", {"h2"}, ""),
        ("h2", {"ngh2", "h2"}, "h2"),
        ("h2", {"ngh2"}, ""),
    ],
)
def test_the_engine_is_the_best_one_that_is_installed_or_the_one_by_its_name(monkeypatch, name, installed, found):
    monkeypatch.setattr(h2_engines, "find_spec", lambda package: package if package in installed else None)
    assert find_engine(name) == found


@pytest.mark.parametrize("name", ENGINES)
def test_the_log_says_the_engine_with_its_version(name):
    assert engine_maker(name, Http2Limits())[1].startswith(f"{name} ")


# ---- what is gone ----

CALLS = {
    "room": (GONE,),
    "respond": (GONE, [(b":status", b"200")], False),
    "inform": (GONE, [(b":status", b"103")]),
    "send": (GONE, b"x", True),
    "send_trailers": (GONE, [(b"x", b"y")]),
    "reset": (GONE, CANCEL),
    "took": (GONE, 5),
    "widen": (GONE, 600_000),
    "ping": (),
    "announce_end": (),
    "end": (),
}


@pytest.mark.parametrize("call", [call for call in CALLS if CALLS[call]])
def test_a_call_about_a_stream_that_is_gone_does_nothing(peers, call):
    peers.request(GONE)
    peers.client.reset_stream(GONE, CANCEL)
    peers.turn()
    getattr(peers.engine, call)(*CALLS[call])
    assert peers.engine.output(peers.owner) == b""
    assert peers.owner.named("on_reset") == [[GONE, CANCEL]]
    assert peers.owner.named("on_broken") == []
    peers.request(3)  # and the connection goes on
    assert [stream for stream, *_ in peers.owner.named("on_request")] == [1, 3]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_after_the_connection_has_failed_raises_nothing(peers, call):
    peers.request(GONE, ends=False)
    peers.fail()
    getattr(peers.engine, call)(*CALLS[call])
    assert not [frame for frame in frames_of(peers.engine.output(peers.owner)) if not isinstance(frame, GoAwayFrame)]


def test_the_last_word_of_a_connection_that_breaks_off_is_one_goaway_with_its_code(peers):
    peers.request(1)
    frames = frames_of(peers.engine.farewell(11, b"calm"))
    assert [(frame.error_code, frame.additional_data) for frame in frames] == [(11, b"calm")]
    assert peers.engine.output(peers.owner) == b""


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("preface", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"])
def test_a_connection_that_does_not_begin_with_the_preface_is_refused(name, preface):
    engine = engine_maker(name, Http2Limits())[0]()
    engine.start()
    with pytest.raises(EngineError) as caught:
        engine.receive(preface, Listener())
    frames = frames_of(engine.output(Listener()) + engine.farewell(caught.value.code, b""))
    assert [frame.error_code for frame in frames if isinstance(frame, GoAwayFrame)] == [1]


# ---- what is told ----


def test_each_kind_of_frame_is_told(peers):
    peers.request(1, ends=False)
    peers.owner.told.clear()
    peers.engine.receive(
        b"".join(
            frame.serialize()
            for frame in (
                DataFrame(1, b"abc", pad_length=5, flags=["PADDED"]),
                SettingsFrame(0, settings={4: 100_000}),
                PingFrame(0, b"12345678"),
                WindowUpdateFrame(0, window_increment=5),
                WindowUpdateFrame(1, window_increment=5),
            )
        )
        + bytes.fromhex("00000710000000000000000001") + b"u=1",
        peers.owner,
    )  # fmt: skip
    assert peers.owner.named("on_data") == [[1, b"abc", False]]
    assert sorted(peers.owner.named("on_window")) == [[-1], [0], [1]]
    assert sorted(peers.owner.named("on_notice")) == [["ping"], ["priority"], ["settings"]]
    assert peers.owner.named("on_priority") == [[1, b"u=1"]]
    peers.client.receive_data(peers.engine.output(peers.owner))
    peers.client.send_headers(1, [("x", "y")], end_stream=True)
    peers.turn()
    assert peers.owner.named("on_trailers") == [[1]]
    peers.client.close_connection(0x0)
    peers.engine.receive(peers.client.data_to_send(), peers.owner)
    assert peers.owner.named("on_goaway") == [[0]]


def test_the_answer_to_a_ping_is_told(peers):
    peers.engine.ping()
    peers.turn()
    assert peers.owner.named("on_pong") == [[]]


def test_a_reset_without_an_error_is_a_reset(peers):
    peers.request(1, ends=False)
    peers.client.reset_stream(1, 0)
    peers.turn()
    assert peers.owner.named("on_reset") == [[1, 0]]
    assert peers.owner.named("on_broken") == []


def test_a_reset_of_ours_is_told_to_nobody(peers):
    peers.request(1, ends=False)
    peers.engine.reset(1, CANCEL)
    peers.turn()
    assert not peers.owner.named("on_reset") + peers.owner.named("on_broken")


def test_streams_behind_the_last_goaway_are_not_served(peers):
    peers.request(1)
    peers.engine.announce_end()
    peers.engine.end()
    said = [frame for frame in frames_of(peers.engine.output(peers.owner)) if isinstance(frame, GoAwayFrame)]
    assert [(frame.last_stream_id, frame.error_code) for frame in said] == [(2**31 - 1, 0), (1, 0)]
    peers.client.send_headers(3, GET, end_stream=True)  # on its way before the client has read that
    peers.engine.receive(peers.client.data_to_send(), peers.owner)
    peers.engine.output(peers.owner)
    assert [stream for stream, *_ in peers.owner.named("on_request")] == [1]


# ---- windows ----


def test_the_window_of_the_connection_is_larger_than_those_of_its_streams(make_peers):
    peers = make_peers(streams=10, window_size=100_000)
    assert peers.client.outbound_flow_control_window > 10 * 100_000 + 8 * (524_288 - 100_000)


def test_a_connection_whose_streams_need_less_than_every_connection_has_keeps_what_it_has(make_peers):
    peers = make_peers(streams=1, window_size=1000, most_wide=0)
    assert peers.client.outbound_flow_control_window >= 65_535
    peers.request(1)
    assert len(peers.owner.named("on_request")) == 1


def test_a_window_is_made_larger_and_never_smaller(peers):
    peers.request(1, ends=False)
    peers.engine.widen(1, 500_000)
    peers.turn()
    assert peers.client.local_flow_control_window(1) == 500_000
    peers.engine.widen(1, 10)
    peers.turn()
    assert peers.client.local_flow_control_window(1) == 500_000


def test_content_larger_than_a_frame_is_cut_and_ends_once(peers):
    peers.request(1)
    peers.engine.respond(1, [(b":status", b"200")], False)
    assert peers.engine.room(1) == 65_535
    peers.engine.send(1, b"x" * 40_000, True)
    sent = [frame for frame in frames_of(peers.engine.output(peers.owner)) if isinstance(frame, DataFrame)]
    assert max(len(frame.data) for frame in sent) <= 16_384
    assert sum(len(frame.data) for frame in sent) == 40_000
    assert ["END_STREAM" in frame.flags for frame in sent] == [False] * (len(sent) - 1) + [True]
