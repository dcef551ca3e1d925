"""Our settings as Gunicorn's own: on its command line, in its config file, in each of its configurations.

Importing this module registers them with Gunicorn. A server in the caller's process does without (`plain_config.py`).
"""

from __future__ import annotations

from typing import Any

from gunicorn import config

from uvicorn.command.equivalents import equivalents
from uvicorn.command.setting_types import OurSetting
from uvicorn.command.settings import OURS

__all__ = ["KnownSetting"]

_FIELDS = ("name", "section", "cli", "validator", "type", "meta", "action", "nargs", "const", "default", "desc")


class KnownSetting(config.Setting):  # type: ignore[misc]  # Gunicorn has no types
    """One of our settings, for Gunicorn: it knows whether somebody gave it a value."""

    name = "_uvicorn"
    validator: Any = staticmethod(str)
    desc = "Base of our settings."
    ours: type[OurSetting] = OurSetting

    def __init__(self) -> None:
        super().__init__()
        self.is_given = False

    @classmethod
    def fmt_desc(cls, desc: str) -> None:
        """Take the indentation of our class bodies off a description: `textwrap`, which Gunicorn uses, costs more."""
        cls.desc = desc.replace("\n        ", "\n").strip()
        cls.short = cls.desc.partition("\n")[0]

    def set(self, val: Any) -> None:
        super().set(val)
        self.is_given = True

    def add_option(self, parser: Any) -> None:
        """Add the options of the setting. Called by Gunicorn."""
        if self.ours.is_switch:
            flag = self.name.replace("_", "-")
            for option, value in ((f"--{flag}", True), (f"--no-{flag}", False)):
                text = f"{self.short} [{self.default}]" if value else f"The opposite of --{flag}."
                parser.add_argument(option, dest=self.name, action="store_const", const=value, default=None, help=text)
            return
        super().add_option(parser)
        if self.ours.opposite is not None:
            option, text = self.ours.opposite
            parser.add_argument(option, dest=self.name, action="store_const", const="", help=text)


def _register() -> None:
    config.KNOWN_SETTINGS.remove(KnownSetting)  # Gunicorn's metaclass has registered the base as if it were a setting
    kind: Any = type(KnownSetting)
    for ours in OURS:
        fields = {field: getattr(ours, field) for field in _FIELDS}
        kind(ours.__name__, (KnownSetting,), {**fields, "ours": ours, "__module__": ours.__module__})


def _let_hosts_be_named() -> None:
    """Leave names of hosts out of FORWARDED_ALLOW_IPS, where they have no effect; Gunicorn would not start."""
    known = config.ForwardedAllowIPS
    known.default = equivalents({"forwarded_allow_ips": known.default}).settings["forwarded_allow_ips"]


_register()
_let_hosts_be_named()
