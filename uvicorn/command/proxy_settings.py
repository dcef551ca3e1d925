"""Our settings for proxies, one class each."""

from __future__ import annotations

from typing import ClassVar

from uvicorn.command.setting_types import OurSetting, one_of
from uvicorn.wire.forwarded import FIELD_CHOICES

__all__ = ["PROXY_SETTINGS"]


class ForwardedFields(OurSetting):
    name = "forwarded_fields"
    cli: ClassVar = ["--forwarded-fields"]
    meta = "NAME"
    validator = one_of("forwarded_fields", *FIELD_CHOICES)
    default = "auto"
    desc = """\
        Which fields ``proxy_headers`` reads: ``x-forwarded``, ``forwarded``, or ``auto``.

        ``auto``, the default, reads ``X-Forwarded-For`` and ``X-Forwarded-Proto`` where a request has one of them, and
        ``Forwarded`` (RFC 7239) where it has none. A proxy must set, or take away, all that are read.
        """


PROXY_SETTINGS = (ForwardedFields,)
