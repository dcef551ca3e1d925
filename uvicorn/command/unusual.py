"""What is unusual about a start: settings that make the server slower, or less safe, or another one than expected."""

from __future__ import annotations

from typing import Any

from uvicorn.command.settings import Settings

__all__ = ["unusual"]


def unusual(cfg: Any, settings: Settings) -> list[str]:
    """Return a few words for each thing that is unusual.

    Args:
        cfg: Gunicorn's.
    """
    found = (
        (cfg.reload, "reload: for development only"),
        (cfg.preload_app, "the application is loaded in the master (preload_app)"),
        (
            settings.forwarded_fields and "*" in cfg.forwarded_allow_ips,
            "what anybody says of his address is believed (forwarded_allow_ips '*')",
        ),
        (cfg.header_map == "dangerous", "header names with _ are passed on (header_map dangerous)"),
        (not cfg.timeout, "a blocked worker is not replaced (timeout 0)"),
        (not settings.limits.reply_timeout, "consumers may be silent for ever (reply_timeout 0)"),
        (not settings.governor, "no governor"),
        (not settings.framework_threads, "frameworks have threads of their own (framework_threads own)"),
        (cfg.loglevel == "debug", "log level debug"),
    )
    return [words for holds, words in found if holds]
