"""What the server does with the corpus when nothing is in front of it."""

from __future__ import annotations

from collections.abc import Callable

from attacks.answers import Client, Wrong
from attacks.corpus import FREE, WHOLE, Case
from attacks.honest import Honest

__all__ = ["try_alone"]

_WARM = b"GET /warm HTTP/1.1\r\nHost: honest.example\r\n\r\n"


def try_alone(case: Case, port: int) -> tuple[int, list[str]]:
    """Send a case in one piece and byte by byte, to fresh connections and used ones.

    Returns: how many times it was sent, and what was wrong; where it came only in some of these ways, in which.
    """
    if case.kind == FREE:
        return 0, []
    tried = _whole if case.kind == WHOLE else _malformed
    is_long = sum(map(len, case.parts)) > 2000  # each byte costs the server a read
    ways = [(is_used, is_cut) for is_used in (False, True) for is_cut in (False, True) if not (is_cut and is_long)]
    wrong: list[tuple[str, str]] = []
    for is_used, is_cut in ways:
        with Client(port) as client:
            try:
                if is_used:
                    for _ in range(3):  # what comes a third time takes another way through the parser
                        client.ask(_WARM).told()
                tried(case, client, client.send_bytes if is_cut else client.send)
            except Wrong as error:
                connection = "used" if is_used else "fresh"
                wrong.append((str(error), f"{connection} connection, {'byte by byte' if is_cut else 'in one piece'}"))
    if len(wrong) == len(ways):
        return len(ways), [reason for reason, _ in wrong]
    return len(ways), [f"{reason} ({way})" for reason, way in wrong]


def _whole(case: Case, client: Client, send: Callable[[bytes], None]) -> None:
    """Honest requests that follow it on the same connection must be served, unless the server has said otherwise."""
    for part in case.parts:
        send(part)
    answer = client.answer(case.is_head)
    if answer.says_close:
        if list(client.answers_to_the_end()):
            raise Wrong("answers behind the one that says close")
        if answer.status >= 400:
            raise Wrong(f"refused: {answer.status} {answer.content[:60]!r}")
        return
    neighbour = Honest(0, "neighbour", "/loop")
    neighbour.ask(client)
    neighbour.ask(client)
    Honest(0, "other", "/pool", b"x" * 100).ask(client)


def _malformed(case: Case, client: Client, send: Callable[[bytes], None]) -> None:
    """One refusal, and the end."""
    for part in case.parts:
        send(part)
    first = client.answer()
    if first.status < 400:
        raise Wrong(f"served: {first.status} {first.content[:60]!r}")
    if not first.says_close:
        raise Wrong(f"{first.status}, and the connection is kept")
    if more := list(client.answers_to_the_end()):
        raise Wrong(f"{first.status}, and then {[answer.status for answer in more]}")
