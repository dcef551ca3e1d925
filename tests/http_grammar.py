"""Streams of HTTP/1.1 for the fuzzer: nearly right, and wrong in the ways that have fooled servers.

`stream(chance)`, `head(chance)` and `cuts(chance, size)` take a `random.Random`, or hypothesis's stand-in for one.
"""

from __future__ import annotations

METHODS = [b"GET", b"GET", b"POST", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"QUERY", b"M-SEARCH"]
ODD_METHODS = [b"get", b"BREW", b"CONNECT", b"PRI", b"GE(T", b"", b"_X", b"DESCRIBE", b"SOURCE", b"G\xc3T", b"["]
TARGETS = [
    b"/",
    b"/a",
    b"/a?b=c",
    b"/%41%ff?d",
    b"/a/../b",
    b"//a",
    b"*",
    b"http://b/c",
    b"HTTP://b:80?d",
    b"http://[::1]",
]
ODD_TARGETS = [
    b"", b"a", b"/a#b", b"#", b"/ b", b"/\xc3\xa9", b"/\x01", b"http://", b"http:///a", b"http://:1/", b"http://u@b/",
    b"http://a@b@c/", b"http://b:x/", b"ftp://b/", b"b:80", b"http://b#c", b"/\t", b"http://b\\@c/", b"/" + b"x" * 90,
]  # fmt: skip
VERSIONS = [b"HTTP/1.1"] * 8 + [b"HTTP/1.0"] * 2
ODD_VERSIONS = [b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.10", b"HTTP/1", b"", b"HTTP/1.1 "]
NAMES = [
    b"X", b"Accept", b"Cookie", b"x-forwarded-proto", b"X_Y", b"Script_Name", b"User-Agent", b"Proxy-Connection", b"TE",
]  # fmt: skip
ODD_NAMES = [b"", b"X ", b"X Y", b"\xc3", b"X(", b"X\0", b" X", b"Host ", b"TE\t", b"X:", b"Host_"]
VALUES = [b"https", b"", b"a", b"a b", b"close", b"keep-alive", b"\xe9", b"a\tb", b"a_b", b'"c"', b"x" * 60]
ODD_VALUES = [b"\0", b"a\rb", b"a\nb", b"a\r\n b", b"\x01", b"\x7f", b"x" * 120, b"\r"]
HOSTS = [b"a"] * 12 + [b"", b"a:1", b"[::1]:8", b"a%41", b"a b", b"u@a", b"a:b", b"a/b", b"a,b", b"a\x80"]
LENGTHS = [b"5", b"0", b"005", b"+5", b"-5", b"0x5", b"5,5", b"5 5", b"", b"99999999999999999999", b"1_0", b"5;"]
CODINGS = [
    b"chunked", b"Chunked", b"gzip, chunked", b"chunked, gzip", b"xchunked", b"chunked, chunked", b"identity", b"",
    b"\x0bchunked", b"chunked;a=b", b'"chunked"', b"chunked,", b",chunked", b"chunked \t",
]  # fmt: skip
CONNECTIONS = [b"close", b"keep-alive", b"Keep-Alive", b"close, keep-alive", b"upgrade", b"TE, Close", b"\tclose "]
SPECIAL = [
    (b"Connection", CONNECTIONS), (b"Content-Length", LENGTHS), (b"Transfer-Encoding", CODINGS), (b"Host", HOSTS),
    (b"Expect", [b"100-continue", b"100-Continue ", b"x", b""]), (b"Upgrade", [b"h2c", b"websocket", b""]),
    (b"Proxy-Connection", CONNECTIONS), (b"Keep-Alive", [b"timeout=5"]), (b"Trailer", [b"X"]),
]  # fmt: skip
EXTENSIONS = [b""] * 10 + [
    b";a",
    b";a=b",
    b" ; a = b",
    b'\t;a="b;\\"c"',
    b";a;b=c;d",
    b";",
    b";a=",
    b" ",
    b";a\n",
    b';a="',
    b";a=\x01",
]
SIZES = [b"%x", b"%X", b"000%x", b"%x", b"0x%x", b"+%x", b" %x", b"%x "]
TRAILERS = [
    b"X: y", b"Content-Length: 7", b"Transfer-Encoding: chunked", b"Connection: close", b"Host: b", b"X:",
    b"X : y", b" X: y", b"X", b"X: a\rb", b": y",
]  # fmt: skip
ENDS = [b"\r\n"] * 60 + [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n"]


def stream(chance):
    """Return the bytes of one connection: up to four requests."""
    odds = chance.choice([0.0, 0.0, 0.02, 0.1])
    data = b"".join(_request(chance, odds) for _ in range(chance.randint(1, 4)))
    for _ in range(chance.choice([0, 0, 0, 1, 2])):
        data = _mutate(chance, data)
    if chance.random() < 0.1:
        data = data[: chance.randint(0, len(data))]
    return data


def head(chance):
    """Return one complete head."""
    whole = _request(chance, chance.choice([0.0, 0.02])).lstrip(b"\r\n ")
    return whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def cuts(chance, size):
    """Return where to cut so many bytes."""
    if size < 400 and chance.random() < 0.3:
        return list(range(1, size))
    return sorted({chance.randint(1, size) for _ in range(chance.randint(1, 12))}) if size else []


def _pick(chance, usual, odd, odds):
    return chance.choice(odd if chance.random() < odds else usual)


def _end(chance, odds):
    return chance.choice(ENDS) if chance.random() < odds * 3 else b"\r\n"


def _request(chance, odds):
    method = _pick(chance, METHODS, ODD_METHODS, odds)
    target = _pick(chance, TARGETS[:6] if chance.random() < 0.8 else TARGETS, ODD_TARGETS, odds)
    space = _pick(chance, [b" "], [b"  ", b"\t", b"", b" \t"], odds / 2)
    data = method + space + target + b" " + _pick(chance, VERSIONS, ODD_VERSIONS, odds) + _end(chance, odds)
    kind = chance.choice(["none", "none", "length", "chunked", "odd"])
    fields = [] if chance.random() < odds else [(b"Host", b"a")]
    fields += [
        (_pick(chance, NAMES, ODD_NAMES, odds), _pick(chance, VALUES, ODD_VALUES, odds))
        for _ in range(chance.randint(0, 4))
    ]
    if chance.random() < 0.25:
        name, values = chance.choice(SPECIAL)
        fields.append((name, chance.choice(values if kind == "odd" else values[:3])))
    body = bytes(chance.choices(b"ab\r\n0 :GET/", k=chance.choice([0, 1, 5, 5, 30])))
    if kind == "length":
        fields.append((b"Content-Length", b"%d" % len(body)))
    elif kind == "chunked":
        fields.append((b"Transfer-Encoding", b"chunked"))
        body = _chunks(chance, body, odds)
    elif kind == "odd" and chance.random() < 0.5:
        name, values = chance.choice(SPECIAL)
        fields.append((name, chance.choice(values)))
        body = chance.choice([body, _chunks(chance, body, odds)])
    else:
        body = b""
    chance.shuffle(fields)
    for name, value in fields:
        space = chance.choice([b" ", b" ", b" ", b"", b"\t", b" \t "])
        data += name + b":" + space + value + chance.choice([b""] * 8 + [b" ", b"\t"]) + _end(chance, odds)
    before = chance.choice([b""] * 8 + [b"\r\n", b"\r\n\r\n"] + ([b"\r", b"\n", b" "] if odds else []))
    return before + data + b"\r\n" + body


def _chunks(chance, body, odds):
    data, at = b"", 0
    while at < len(body):
        size = chance.randint(1, len(body) - at)
        data += _size_line(chance, size, odds) + body[at : at + size] + _end(chance, odds)
        at += size
    data += _size_line(chance, 0, odds)
    for _ in range(chance.choice([0, 0, 0, 1, 2])):
        data += chance.choice(TRAILERS if chance.random() < odds * 3 else TRAILERS[:6]) + _end(chance, odds)
    return data + _end(chance, odds)


def _size_line(chance, size, odds):
    extension = chance.choice(EXTENSIONS if chance.random() < odds * 3 else EXTENSIONS[:15])
    if chance.random() < 0.005:
        extension = b";" + b"a" * chance.choice([8000, 16370, 16380, 16384, 20000])
    return chance.choice(SIZES if chance.random() < odds else SIZES[:4]) % size + extension + _end(chance, odds)


def _mutate(chance, data):
    at = chance.randint(0, len(data))
    kind = chance.randint(0, 3)
    if kind == 0:
        return data[:at] + data[at + chance.randint(1, 3) :]
    if kind == 1:
        return data[:at] + bytes(chance.choices(b"\r\n\t :;,/#@\0\x80a0", k=1)) + data[at:]
    if kind == 2:
        return data[:at] + bytes(chance.choices(b"\r\n\t :;,/#@\0\x80a0", k=1)) + data[at + 1 :]
    end = min(len(data), at + chance.randint(1, 40))
    return data[:end] + data[at:end] + data[end:]
