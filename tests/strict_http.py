"""A strict reading of RFC 9112, one byte after the other: what a connection is compared with.

It shares no code with the server, knows the whole stream at once, and is as slow as it likes. Where the server refuses
more than the RFC does, that is written here too, so that nothing is refused by accident.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
METHODS = frozenset(
    b"GET HEAD POST PUT PATCH DELETE OPTIONS TRACE QUERY ACL BIND CHECKOUT COPY LINK LOCK M-SEARCH MERGE MKACTIVITY "
    b"MKCALENDAR MKCOL MOVE NOTIFY PROPFIND PROPPATCH PURGE REBIND REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNLINK UNLOCK "
    b"UNSUBSCRIBE".split()
)
HOST = rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f][0-9A-Fa-f])*)"
REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])" % TOKEN)
FIELD = re.compile(rb"(%b):[ \t]*([\t\x20-\x7e\x80-\xff]*)" % TOKEN)
ABSOLUTE = re.compile(rb"https?://(%b(?::[0-9]*)?)([/?].*)?" % HOST, re.IGNORECASE)
AUTHORITY = re.compile(rb"%b(?::[0-9]*)?" % HOST)
QUOTED = rb'"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*"'
EXTENSION = rb"[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|%b))?" % (TOKEN, TOKEN, QUOTED)
SIZE_LINE = re.compile(rb"([0-9A-Fa-f]+)((?:%b)*)" % EXTENSION)
EXCESS = 16384


@dataclass
class Request:
    """One request of a stream, and where it begins and ends."""

    method: str
    target: bytes
    version: str
    headers: list
    body: bytes
    start: int
    end: int
    persists: bool
    has_bad_white_space: bool = False
    trailers: list = field(default_factory=list)


class Refused(Exception):
    """Carries the statuses that are right: more than one where more than one thing is wrong."""

    def __init__(self, *statuses):
        self.statuses = set(statuses)


class Waits(Exception):
    """What is there is right so far, and not complete."""


def read(data, limits):
    """Read a stream.

    Returns: the requests in it, and how it ends: "waits", "closed", or the set of statuses one of which refuses it.
    """
    requests, at = [], 0
    while True:
        try:
            request = _request(data, at, limits)
        except Waits:
            return requests, "waits"
        except Refused as refused:
            return requests, refused.statuses
        requests.append(request)
        at = request.end
        if not request.persists:
            return requests, "closed"


def _request(data, at, limits):
    while data[at : at + 2] == b"\r\n":
        at += 2
    if data[at : at + 2] in (b"", b"\r"):
        raise Waits
    end = _end_of_head(data, at, limits)
    line, *lines = data[at : end - 4].split(b"\r\n")
    faults = set()
    found = REQUEST_LINE.fullmatch(line)
    if found is None:
        raise Refused(400)
    method, target, version = found[1], found[2], found[3] + b"." + found[4]
    if version not in (b"1.0", b"1.1"):
        raise Refused(505)
    if method not in METHODS:
        raise Refused(501)
    fields = []
    for one in lines:
        pair = FIELD.fullmatch(one)
        if pair is None:
            raise Refused(400)
        fields.append([pair[1].lower(), pair[2].rstrip(b" \t")])
    is_http10 = version == b"1.0"
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) > 1 or (not hosts and not is_http10) or not all(AUTHORITY.fullmatch(host) for host in hosts):
        faults.add(400)
    _check_target(method, target, fields, faults)
    if any(value.lower() != b"100-continue" for name, value in fields if name == b"expect"):
        faults.add(417)
    options = _items(fields, b"connection")
    persists = b"close" not in options and (not is_http10 or b"keep-alive" in options)
    length, is_chunked = _framing(fields, is_http10, faults)
    if faults:
        raise Refused(*faults)
    fields = [[name, value] for name, value in fields if b"_" not in name]
    request = Request(method.decode(), target, version.decode(), fields, b"", at, end, persists)
    if is_chunked:
        _read_chunks(data, request, limits)
    elif length:
        if limits.request_body and length > limits.request_body:
            raise Refused(413)
        if len(data) - end < length:
            raise Waits
        request.body = data[end : end + length]
        request.end = end + length
    return request


def _end_of_head(data, at, limits):
    """Go through a head byte by byte, as if each were the last that has come."""
    line_start, lines = at, 0
    if data[at] not in LETTERS:
        raise Refused(400)
    for here in range(at, len(data)):
        if data[here] == 10 and (here == line_start or data[here - 1] != 13):
            raise Refused(400)
        if data[here] == 10 and here == line_start + 1:
            return here + 1
        size = here + 1 - line_start
        limit = limits.request_field_size if lines else limits.request_line and limits.request_line + 2
        if limit and size > limit:
            raise Refused(431 if lines else 414)
        if data[here] == 10:
            lines += 1
            line_start = here + 1
            if lines - 1 > limits.request_fields:
                raise Refused(431)
        if here + 1 - at > limits.longest_head:
            raise Refused(431)
    raise Waits


def _items(fields, name):
    values = b",".join(value for found, value in fields if found == name)
    return [item.strip(b" \t") for item in values.lower().split(b",")]


def _check_target(method, target, fields, faults):
    if b"#" in target:
        faults.add(400)
    elif target[:1] == b"/" or (target == b"*" and method == b"OPTIONS"):
        pass
    else:
        found = ABSOLUTE.fullmatch(target)
        if found is None or found[1][:1] in (b"", b":"):
            faults.add(400)
            return
        for pair in fields:
            if pair[0] == b"host":
                pair[1] = found[1]
                return
        fields.insert(0, [b"host", found[1]])


def _framing(fields, is_http10, faults):
    lengths = [value for name, value in fields if name == b"content-length"]
    has_coding = any(name == b"transfer-encoding" for name, _ in fields)
    codings = _items(fields, b"transfer-encoding") if has_coding else []
    if has_coding:
        if lengths or is_http10:
            faults.add(400)
        if codings != [b"chunked"]:
            faults.update({400, 501})
        return 0, True
    if not lengths:
        return 0, False
    if len(lengths) > 1 or not re.fullmatch(rb"0*[0-9]{1,18}", lengths[0]):
        faults.add(400)
        return 0, False
    return int(lengths[0]), False


def _read_chunks(data, request, limits):
    at, excess, is_trailer = request.end, 0, False
    while True:
        lf = data.find(b"\n", at)
        have = (lf + 1 if lf >= 0 else len(data)) - at
        if excess + have > EXCESS:
            raise Refused(431)
        if lf < 0:
            raise Waits
        line, at = data[at:lf], lf + 1
        if line[-1:] != b"\r":
            raise Refused(400)
        line = line[:-1]
        if is_trailer:
            if not line:
                request.end = at
                return
            found = FIELD.fullmatch(line)
            if found is None:
                raise Refused(400)
            request.trailers.append(found[1].lower())
            excess += have
            continue
        found = SIZE_LINE.fullmatch(line)
        if found is None or len(found[1].lstrip(b"0")) > 15:
            raise Refused(400)
        size = int(found[1], 16)
        request.has_bad_white_space = request.has_bad_white_space or bool(re.search(rb"[ \t]", found[2]))
        excess = max(0, excess + have - 16 - 2 * size)
        is_trailer = not size
        content = data[at : at + size]
        request.body += content
        at += len(content)
        if limits.request_body and len(request.body) > limits.request_body:
            raise Refused(413)
        if size:
            end = data[at : at + 2]
            if end != b"\r\n"[: len(end)]:
                raise Refused(400)
            if len(content) < size or len(end) < 2:
                raise Waits
            at += 2
