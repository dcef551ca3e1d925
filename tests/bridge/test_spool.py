"""Collecting a large body: in memory, and past that in a file."""

import asyncio
import gc
import os
import threading

import pytest
from bridge_doubles import FakeSource, on_loop, until_async
from patience import PATIENCE_SECONDS
from pool_doubles import RecordingLog

from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.spool import Spool, SpoolWriter


class Collector:
    """A spool with all that it needs."""

    def __init__(self, directory, memory_size=100):
        self.source = FakeSource()
        self.done = []  # what on_done was told
        self.outbox = Outbox(asyncio.get_running_loop(), RecordingLog())
        self.writer = SpoolWriter(self.outbox, directory)
        self.spool = Spool(self.writer, self.source, self.done.append, memory_size)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.writer.stop()

    async def collect(self, *chunks):
        for chunk in chunks:
            self.spool.feed(chunk)
        self.spool.end()
        await until_async(lambda: self.done, "the end of the collecting")
        self.file = self.spool.file  # the channel takes it over
        return self.spool.channel()


@pytest.fixture
def directory(tmp_path):
    return str(tmp_path)


@on_loop
async def collect(directory, *chunks, check, memory_size=100):
    async with Collector(directory, memory_size) as collector:
        check(collector, await collector.collect(*chunks))


@pytest.mark.parametrize("size", [0, 1, 99, 100])
def test_a_body_up_to_the_mark_stays_in_memory(directory, size):
    def check(collector, channel):
        assert collector.file is None
        assert channel.read(1000) == b"x" * size

    collect(directory, b"x" * size, check=check)


@pytest.mark.parametrize("chunks", [[101], [60, 60], [200, 1], [1] * 500, [150, 150, 150], [70_000, 70_000]])
def test_a_larger_body_goes_to_a_file_and_comes_back_whole(directory, chunks):
    body = [bytes([number % 251]) * size for number, size in enumerate(chunks)]

    def check(collector, channel):
        assert collector.file is not None
        assert channel.read(1_000_000) == b"".join(body)

    collect(directory, *body, check=check)


@on_loop
async def test_a_body_in_memory_is_done_at_once():
    async with Collector(None) as collector:
        collector.spool.feed(b"small")
        collector.spool.end()
        assert collector.done == [None]


@pytest.mark.parametrize("chunks", [[], [b"small"], [b"x" * 150], [b"x" * 150, b"y"], [b"x" * 150] * 5])
def test_the_end_is_told_exactly_once(directory, chunks):
    @on_loop
    async def scenario():
        async with Collector(directory) as collector:
            await collector.collect(*chunks)
            for _ in range(3):
                await asyncio.sleep(0.001)
            assert collector.done == [None]

    scenario()


def test_the_file_has_no_name_and_is_closed_when_it_has_been_read(directory):
    def check(collector, channel):
        assert os.listdir(directory) == []
        assert not collector.file.closed
        channel.read(1000)
        assert collector.file.closed

    collect(directory, b"x" * 150, check=check)


def test_the_file_of_a_body_that_nobody_reads_is_closed_with_its_channel(directory):
    @on_loop
    async def scenario():
        async with Collector(directory) as collector:
            channel = await collector.collect(b"x" * 150)
            del channel
            gc.collect()
            assert collector.file.closed

    scenario()


def test_the_file_of_a_body_that_never_ends_is_closed_with_its_spool(directory):
    @on_loop
    async def scenario():
        async with Collector(directory) as collector:
            collector.spool.feed(b"x" * 150)
            await until_async(lambda: collector.source.releases, "the write")
            file = collector.spool.file
            collector.spool = None
            await until_async(lambda: (gc.collect(), file.closed)[1], "the end of the file")

    scenario()


@on_loop
async def test_a_body_that_is_abandoned_has_its_file_closed_behind_the_last_write():
    async with Collector(None) as collector:
        file = collector.spool.file = SlowFile()
        for _ in range(3):
            collector.spool.feed(b"x" * 101)
        collector.spool.abandon()
        for number in range(3):
            assert not file.closed
            file.may_write.release()
            await until_async(lambda number=number: len(file.written) == number + 1, "a write")
        await until_async(lambda: file.closed, "the end of the file")


@pytest.mark.parametrize("chunks", [[b"small"], [b"x" * 150], [b"x" * 150, b"y" * 150, b"z"]])
def test_an_abandoned_body_is_never_told_to_be_complete_or_broken(directory, chunks):
    @on_loop
    async def scenario():
        async with Collector(os.path.join(directory, "missing")) as collector:
            for chunk in chunks:
                collector.spool.feed(chunk)
            collector.spool.abandon()
            await until_async(lambda: not collector.spool._unwritten, "all writes")
            assert collector.done == []

    scenario()


def test_a_body_in_memory_is_abandoned_without_a_thread(directory):
    @on_loop
    async def scenario():
        before = {*threading.enumerate()}  # those of earlier tests may end meanwhile
        async with Collector(directory) as collector:
            collector.spool.feed(b"small")
            collector.spool.abandon()
            assert {*threading.enumerate()} <= before

    scenario()


@on_loop
async def test_a_body_may_be_abandoned_after_the_writer_was_stopped():
    async with Collector(None) as collector:
        collector.spool.feed(b"x" * 150)
        await until_async(lambda: not collector.spool._unwritten, "the write")
        file = collector.spool.file
        collector.writer.stop()
        collector.spool.abandon()
        collector.spool = None
        await until_async(lambda: (gc.collect(), file.closed)[1], "the end of the file")


def test_a_directory_that_does_not_exist_is_told_as_an_error(directory):
    @on_loop
    async def scenario():
        async with Collector(os.path.join(directory, "missing")) as collector:
            collector.spool.feed(b"x" * 150)
            await until_async(lambda: collector.done, "the error")
            (error,) = collector.done
            assert isinstance(error, OSError)

    scenario()


def test_a_spool_whose_disk_failed_is_never_told_to_be_complete(directory):
    @on_loop
    async def scenario():
        async with Collector(os.path.join(directory, "missing")) as collector:
            for _ in range(3):
                collector.spool.feed(b"x" * 150)
            collector.spool.end()
            await until_async(lambda: not collector.spool._unwritten, "all writes")
            assert None not in collector.done
            assert collector.done

    scenario()


class FullDisk:
    """A file whose buffer takes what the disk will not."""

    def write(self, block):
        pass

    def flush(self):
        raise OSError("No space left on device")

    def seek(self, position):
        self.flush()

    def close(self):
        pass


@on_loop
async def test_a_disk_that_is_full_when_flushed_is_told_as_an_error():
    async with Collector(None) as collector:
        collector.spool.file = FullDisk()
        collector.spool.feed(b"x" * 101)
        collector.spool.end()
        await until_async(lambda: collector.done, "the error")
        assert [type(error) for error in collector.done] == [OSError]


class SlowFile:
    """A file whose writes wait for the test."""

    def __init__(self):
        self.may_write = threading.Semaphore(0)
        self.written = []
        self.threads = set()
        self.closed = False

    def write(self, block):
        assert not self.closed
        assert self.may_write.acquire(timeout=PATIENCE_SECONDS)
        self.threads.add(threading.current_thread().name)
        self.written.append(block)

    def flush(self):
        pass

    def close(self):
        self.closed = True


@on_loop
async def test_the_source_is_held_while_the_disk_is_behind_and_released_when_it_has_caught_up():
    async with Collector(None) as collector:
        file = collector.spool.file = SlowFile()
        collector.spool.feed(b"x" * 101)
        assert not collector.source.is_held  # one block on its way is no reason
        collector.spool.feed(b"y" * 101)
        assert collector.source.is_held
        file.may_write.release()
        await until_async(lambda: not collector.source.is_held, "the release of the source")
        file.may_write.release()
        await until_async(lambda: len(file.written) == 2, "the second write")
        assert collector.source.thread_ids == {threading.get_ident()}


@on_loop
async def test_the_end_is_told_after_the_last_block_is_written():
    async with Collector(None) as collector:
        file = collector.spool.file = SlowFile()
        collector.spool.feed(b"x" * 101)
        collector.spool.feed(b"rest")
        collector.spool.end()
        file.may_write.release()
        await until_async(lambda: len(file.written) == 1, "the first write")
        collector.outbox.drain_now()
        assert collector.done == []
        file.may_write.release()
        await until_async(lambda: collector.done == [None], "the end of the collecting")
        assert file.written == [b"x" * 101, b"rest"]


@on_loop
async def test_files_are_written_by_a_thread_of_their_own():
    async with Collector(None) as collector:
        file = collector.spool.file = SlowFile()
        file.may_write.release()
        collector.spool.feed(b"x" * 101)
        await until_async(lambda: file.threads, "the write")
        (name,) = file.threads
        assert name.startswith("uvicorn-spool")


def test_a_writer_that_was_given_nothing_has_no_thread():
    @on_loop
    async def scenario():
        before = {*threading.enumerate()}  # those of earlier tests may end meanwhile
        async with Collector(None) as collector:
            await collector.collect(b"small")
            assert {*threading.enumerate()} <= before

    scenario()


@on_loop
async def test_two_bodies_at_the_same_time_do_not_mix():
    async with Collector(None) as one:
        done = []
        other = Spool(one.writer, FakeSource(), done.append, memory_size=100)
        for _ in range(10):
            one.spool.feed(b"1" * 101)
            other.feed(b"2" * 101)
        other.end()
        assert (await one.collect()).read(10_000) == b"1" * 1010
        await until_async(lambda: done, "the end of the other")
        assert other.channel().read(10_000) == b"2" * 1010
