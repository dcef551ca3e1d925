"""What is said to a consumer that returns what it should have sent."""

import pytest
from test_consumer import plain

from uvicorn.bridge.consumer import Consumer, advice_on


class Response:
    status_code = 200


@pytest.mark.parametrize(
    ("result", "is_socket", "words"),
    [
        (
            "hello",
            False,
            "returned a str, which goes nowhere; send it with message['reply_channel'].send({'status': 200, ",
        ),
        (b"hello", False, "returned a bytes"),
        ({"status": 200}, False, "returned a dict"),
        (("hello", 200), False, "returned a tuple"),
        (Response(), False, "returned a Response"),
        (
            "hello",
            True,
            "returned a str, which goes nowhere; send it with message['reply_channel'].send({'text': ...})",
        ),
    ],
)
def test_a_value_that_was_meant_for_the_client_gets_advice(result, is_socket, words):
    assert advice_on(result, is_socket).startswith(words)


def test_text_gets_the_advice_to_be_encoded_where_bytes_are_sent():
    assert advice_on("hello").endswith("(content is bytes: encode it)")
    assert "encode" not in advice_on(b"hello")


@pytest.mark.parametrize("result", [0, True, object(), Consumer(plain)], ids=lambda result: type(result).__name__)
def test_any_other_value_gets_none(result):
    assert advice_on(result) == ""
