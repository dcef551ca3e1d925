"""Messages as bytes, and the envelope of those that a request has sent."""

import pytest

from uvicorn.layers.encoding import RequestContent, pack, unpack, unpack_message


def test_the_id_of_a_request_is_beside_the_content_and_not_in_it():
    data = pack(RequestContent({"n": 1}, "abc"))
    assert unpack(data) == [{"n": 1}, "abc"]
    content = unpack_message(data)
    assert (content, content.request_id) == ({"n": 1}, "abc")
    assert pack(content) == data  # a layer that takes it back sends it on as it was


def test_content_alone_is_what_it_was():
    assert pack({"n": 1}) == b"\x81\xa1n\x01"
    assert type(unpack_message(pack({"n": 1}))) is dict


@pytest.mark.parametrize("value", [[{}, 7], [{}], ["x", "y"], [{}, "x", "y"], 7])
def test_what_is_no_envelope_is_left_for_whoever_looks_at_it(value):
    assert unpack_message(pack(value)) == value
    assert type(unpack_message(pack(value))) is not RequestContent


@pytest.mark.parametrize("data", [b"\xc1", b"\x81\xa1n", b"\x81\x80\x01"])
def test_what_is_no_message_is_told_as_such(data):
    with pytest.raises(ValueError, match="no message"):
        unpack(data)
