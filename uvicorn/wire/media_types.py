"""The media types of files by the end of their names: the same on every system and with every Python.

Python's own table without what the system adds, and what its versions differ in.

Spec: RFC 9239 for JavaScript; RFC 9110 section 8.3.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Final

__all__ = ["MediaTypes"]

_UNKNOWN: Final = "application/octet-stream"
_OURS: Final = {
    ".7z": "application/x-7z-compressed",
    ".aac": "audio/aac",
    ".avif": "image/avif",
    ".bz2": "application/x-bzip2",
    ".cjs": "text/javascript",
    ".csv": "text/csv",
    ".flac": "audio/flac",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".ico": "image/vnd.microsoft.icon",
    ".ics": "text/calendar",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".jxl": "image/jxl",
    ".m4a": "audio/mp4",
    ".m4v": "video/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mkv": "video/matroska",
    ".mp3": "audio/mpeg",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".rtf": "application/rtf",
    ".svg": "image/svg+xml",
    ".tgz": "application/gzip",
    ".ts": "video/mp2t",
    ".ttc": "font/collection",
    ".ttf": "font/ttf",
    ".vtt": "text/vtt",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xhtml": "application/xhtml+xml",
    ".xml": "text/xml",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}


class MediaTypes:
    """What to call the content of files.

    Args:
        more: end of a name, with its dot and in lower case -> media type; before ours.
    """

    def __init__(self, more: Mapping[str, str] | None = None) -> None:
        self._types = {**mimetypes.MimeTypes().types_map[True], **_OURS, **(more or {})}

    def of(self, name: str) -> bytes:
        """Return the value of `Content-Type` for a file name; text is said to be UTF-8."""
        _, dot, end = name.rpartition(".")
        found = self._types.get(dot + end.lower(), _UNKNOWN) if dot else _UNKNOWN
        if found.startswith("text/") and ";" not in found:
            found += "; charset=utf-8"
        return found.encode("latin-1")
