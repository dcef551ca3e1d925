"""Our settings of consumers: what the application is, where they run, what waits for them, what replies have."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from uvicorn.command.setting_types import OurSetting, header_value, one_of, seconds, true_or_false, whole

__all__ = ["CONSUMER_SETTINGS"]


def server_header(value: Any) -> str:
    """Validate the text of a header, or a switch. Raises: ValueError."""
    try:
        return "uvicorn" if true_or_false(str(value)) else ""
    except ValueError:
        return header_value("server_header")(value)


class ApplicationInterface(OurSetting):
    name = "interface"
    cli: ClassVar = ["--interface"]
    meta = "NAME"
    validator = one_of("interface", "auto", "consumer", "wsgi", "asgi", "asgi3", "asgi2")
    default = "auto"
    desc = """\
        What the application is: ``auto``, ``consumer``, ``wsgi``, ``asgi`` (or ``asgi3``) or ``asgi2``.

        ``auto``, the default, looks at the callable: one required parameter is a consumer, two are WSGI, three are
        ASGI. It does not concern what is in a list of routes.
        """


class QueueSize(OurSetting):
    name = "queue_size"
    cli: ClassVar = ["--queue-size"]
    meta = "INT"
    type = int
    validator = whole("queue_size", "requests", -1)
    default = -1
    desc = """\
        Requests for synchronous consumers that may wait for a thread, per worker.

        -1, the default, means eight times the number of threads; 0 means that none may wait. A
        request that finds all threads busy and the queue full is answered with 503 and ``Retry-After``.
        """


class QueueTimeout(OurSetting):
    name = "queue_timeout"
    cli: ClassVar = ["--queue-timeout"]
    meta = "SECONDS"
    type = float
    validator = seconds("queue_timeout")
    default = 30.0
    desc = """\
        Seconds that a request may wait for a thread; then it is answered with 503.
        """


class StuckAfter(OurSetting):
    name = "stuck_after"
    cli: ClassVar = ["--stuck-after"]
    meta = "SECONDS"
    type = float
    validator = seconds("stuck_after")
    default = 0.0
    desc = """\
        Seconds without a sign of life, past which a synchronous consumer is taken for stuck; 0, the default, means
        ``reply_timeout``.

        A thread that is stuck is named in the log. When all threads of a pool are, and requests wait, the worker is
        replaced. Consumers that are declared long (``runs_long``) are never taken for stuck.
        """


class BodyBuffer(OurSetting):
    name = "body_buffer"
    cli: ClassVar = ["--body-buffer"]
    meta = "BYTES"
    type = int
    validator = whole("body_buffer", "bytes", 1)
    default = 65536
    desc = """\
        Bytes up to which a request body always arrives whole in ``message["body"]``.

        It is also how far a client may be ahead of a coroutine that reads a larger body as it comes; of a thread,
        sixteen times as far. An ASGI application gets every body as it comes.
        """


class WriteBuffer(OurSetting):
    name = "write_buffer"
    cli: ClassVar = ["--write-buffer"]
    meta = "BYTES"
    type = int
    validator = whole("write_buffer", "bytes", 1)
    default = 65536
    desc = """\
        Bytes of a response that may wait for a slow client before a coroutine's ``send()`` waits.

        A thread's ``send()`` blocks at four times as many.
        """


class ServerHeader(OurSetting):
    name = "server_header"
    cli: ClassVar = ["--server-header"]
    meta = "TEXT"
    nargs = "?"
    const = "uvicorn"
    validator = server_header
    default = "uvicorn"
    opposite: ClassVar = ("--no-server-header", "Send no ``server`` header.")
    desc = """\
        Value of the ``server`` header of each response; empty for no such header.

        A switch is understood, too, since it is one in the other package: on is the default, off is empty.
        """


class Governor(OurSetting):
    name = "governor"
    cli: ClassVar = ["--governor"]
    meta = "STRING"
    validator = one_of("governor", "on", "off")
    default = "on"
    desc = """\
        ``on``: while synchronous consumers compute, fewer of them run at once, so that asynchronous ones are
        answered soon. ``off``: as many run as there are threads.

        What runs at once is limited by what the consumers compute: consumers that wait are not limited. On an
        interpreter without the global lock it has no effect.
        """


class SwitchInterval(OurSetting):
    name = "switch_interval"
    cli: ClassVar = ["--switch-interval"]
    meta = "SECONDS"
    type = float
    validator = seconds("switch_interval")
    default = 0.0007
    desc = """\
        Seconds after which a thread that computes gives the interpreter to one that waits for it; 0 leaves
        what Python or the application has set (0.005).

        It is set in each worker, with ``sys.setswitchinterval``. Shorter: asynchronous consumers are answered
        sooner beside a thread that computes. Longer: computing is interrupted less often.
        """


class FrameworkThreadsSetting(OurSetting):
    name = "framework_threads"
    cli: ClassVar = ["--framework-threads"]
    meta = "STRING"
    validator = one_of("framework_threads", "pool", "own")
    default = "pool"
    desc = """\
        ``pool``: what frameworks hand to threads (anyio, asyncio's default executor, asgiref) runs in our pools:
        bounded, governed and seen. ``own``: they keep their own threads.
        """


class BackgroundThreads(OurSetting):
    name = "background_threads"
    cli: ClassVar = ["--background-threads"]
    meta = "INT"
    type = int
    validator = whole("background_threads", "threads")
    default = 0
    desc = """\
        Threads of a pool of their own for background tasks that are plain functions; 0, the default, has them run in
        the pool of their application, behind its requests.
        """


CONSUMER_SETTINGS: Final = (
    ApplicationInterface, QueueSize, QueueTimeout, StuckAfter, BodyBuffer, WriteBuffer, ServerHeader,
    Governor, SwitchInterval, FrameworkThreadsSetting, BackgroundThreads,
)  # fmt: skip
