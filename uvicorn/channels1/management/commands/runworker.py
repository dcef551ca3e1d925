"""`manage.py runworker`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

__all__ = ["Command"]


class Command(BaseCommand):  # type: ignore[misc]  # Django has no types
    """Says what to run instead."""

    help = "Not there: the server runs the consumers."

    def run_from_argv(self, argv: list[str]) -> Any:
        """Take any arguments."""
        return super().run_from_argv(argv[:2])

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse. Raises: CommandError."""
        raise CommandError(
            "there are no workers apart: `uvicorn --channels1 project.asgi:channel_layer` runs the consumers in its "
            "threads (--threads), and with --only-channels the background ones alone"
        )
