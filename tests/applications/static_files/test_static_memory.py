"""What is remembered of static files, when it is looked at again, and what is open meanwhile."""

import os

import pytest
from clients import Site
from static_sites import OLD, Served, squeeze, write

from uvicorn import static
from uvicorn.applications import folder as folder_module
from uvicorn.applications import static_entries
from uvicorn.applications.static_entries import SMALL, Entries


def test_a_file_is_read_once_and_found_to_be_right(site, remembers, monkeypatch):
    first = site.ask("/static/app.js")
    monkeypatch.setattr(static_entries, "_TRUSTED_SECONDS", 1e9)
    monkeypatch.setattr(static_entries, "read", None)  # what would read fails
    assert site.ask("/static/app.js").body == first.body


def test_requests_of_one_moment_look_once_and_later_ones_again(site, build, remembers, monkeypatch):
    first = site.ask("/static/app.js")
    looks = []
    look = folder_module.Folder.is_same
    monkeypatch.setattr(folder_module.Folder, "is_same", lambda *args: looks.append(1) or look(*args))
    clients = [site.site.connect() for _ in range(5)]
    for number in (1, 2):
        for client in clients:
            client.send(b"GET /static/app.js HTTP/1.1\r\nHost: x\r\n\r\n")
        assert len(looks) == number
        site.wait()
    write(build / "app.js", first.body[::-1])
    clients[0].send(b"GET /static/app.js HTTP/1.1\r\nHost: x\r\n\r\n")
    assert clients[0].responses()[-1].body == first.body[::-1]
    assert {len(client.responses()) for client in clients[1:]} == {2}


@pytest.mark.parametrize("name", ["app.js", "large.bin"])
def test_a_change_is_seen(site, build, remembers, monkeypatch, name):
    monkeypatch.setattr(static_entries, "_TRUSTED_SECONDS", 1e9)
    old = site.ask(f"/static/{name}")
    content = old.body[::-1]
    write(build / name, content)  # of the same size, and the same time of modification
    new = site.ask(f"/static/{name}")
    assert new.body == content
    (build / "other").write_bytes(b"replaced")
    (build / "other").replace(build / name)
    assert site.ask(f"/static/{name}").body == b"replaced"
    (build / name).unlink()
    assert site.ask(f"/static/{name}").status == 404
    write(build / name, b"back")
    assert site.ask(f"/static/{name}").body == b"back"


def test_a_file_that_is_younger_than_its_clock_is_not_remembered(site):
    assert site.ask("/static/app.js").status == 200
    assert len(site.files._last_side.entries) == 0


def test_a_link_that_is_turned_to_the_outside_is_not_served_from_memory(site, build, remembers, monkeypatch):
    monkeypatch.setattr(static_entries, "_TRUSTED_SECONDS", 1e9)
    assert site.ask("/static/docs/plain.txt").status == 200
    outside = build.parent / "outside"
    write(outside / "plain.txt", b"0123456789")
    (build / "docs").rename(build / "aside")
    (build / "docs").symlink_to("../outside")
    assert site.ask("/static/docs/plain.txt").status == 404


def test_siblings_that_come_and_go_are_noticed(site, build, remembers, monkeypatch):
    monkeypatch.setattr(static_entries, "_TRUSTED_SECONDS", -1.0)  # a second is over
    assert "content-encoding" not in site.ask("/static/app.js", Accept_Encoding="gzip").headers
    squeeze(build / "app.js")
    assert site.ask("/static/app.js", Accept_Encoding="gzip").headers["content-encoding"] == "gzip"
    (build / "app.js.gz").unlink()
    assert "content-encoding" not in site.ask("/static/app.js", Accept_Encoding="gzip").headers


def test_a_folder_that_was_replaced_is_noticed(site, build, remembers, monkeypatch):
    monkeypatch.setattr(static_entries, "_TRUSTED_SECONDS", -1.0)
    monkeypatch.setattr(folder_module, "_RENEWED_SECONDS", -1.0)
    assert site.ask("/static/docs/plain.txt").status == 200
    build.rename(build.with_name("old"))
    assert site.ask("/static/docs/plain.txt").status == 404
    write(build / "docs" / "plain.txt", b"new")
    assert site.ask("/static/docs/plain.txt").body == b"new"


def test_what_is_remembered_is_bounded():
    class Sized:
        def __init__(self, size):
            self.size = size

    entries = Entries(100)
    for number in range(1000):
        entries.put(str(number), Sized(10))
        assert entries.size <= 100
    assert len(entries) == 10
    assert entries.get("990") is not None
    entries.put("new", Sized(10))
    assert entries.get("990") is not None  # it was used
    assert entries.get("991") is None
    entries.put("990", Sized(20))
    assert entries.size <= 100
    entries.put("too large", Sized(101))
    assert entries.get("too large") is None
    for name in ("990", "990", "none"):
        entries.drop(name)
    assert entries.get("990") is None


def test_without_memory_all_is_read_anew(make_site, build, remembers):
    site = Served(make_site, build, memory=0)
    for _ in range(2):
        assert site.ask("/static/app.js").status == 200
    assert len(site.files._last_side.entries) == 0


def test_a_folder_on_a_network_is_for_threads_alone(site, remembers, monkeypatch):
    monkeypatch.setattr(folder_module, "is_local", lambda path: False)
    threads = site.site.files
    bodies = {site.ask("/static/app.js").body for _ in range(3)}
    assert len(bodies) == 1
    assert threads.works == 3
    site.ask("/static/large.bin")
    assert threads.works >= 5  # the look, and the opening


def test_what_is_in_memory_needs_no_thread(site, remembers):
    if not folder_module._has_cached():
        pytest.skip("the system cannot tell")
    for _ in range(2):
        for name in ("app.js", "large.bin", "docs/plain.txt", "none"):
            site.ask(f"/static/{name}")
    before = site.site.files.works
    if site.files.reader.folder.is_local:
        for name in ("app.js", "docs/plain.txt", "none"):
            site.ask(f"/static/{name}")
        assert site.site.files.works == before


def test_a_client_that_leaves_while_its_file_is_opened_leaves_no_file_open(site, build):
    threads = site.site.files
    site.ask("/static/large.bin")
    site.files.reader.folder.is_local = False
    threads.is_held = True
    client = site.site.connect()
    client.send(b"GET /static/large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
    threads.work()  # the look
    site.site.settle()
    client.leave()
    site.site.pass_time(60)
    threads.work()  # the opening
    site.site.settle()
    assert open_files(build / "large.bin") == 0


def test_clients_that_come_and_leave_while_a_disk_hangs_are_not_all_remembered(site):
    threads = site.site.files
    site.files.reader.folder.is_local = False
    threads.is_held, threads.most = True, 3
    for _ in range(5):
        client = site.site.connect()
        client.send(b"GET /static/app.js HTTP/1.1\r\nHost: x\r\n\r\n")
        client.leave()
        site.site.pass_time(60)
    assert len(threads.waiting) == 3
    response = site.ask("/static/app.js")
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    while threads.waiting:
        threads.work()
    threads.is_held = False
    assert site.ask("/static/app.js").status == 200


@pytest.mark.parametrize("ranges", ["bytes=0-99999", "bytes=0-99999,200000-299999"])
def test_a_large_file_is_refused_while_few_descriptors_are_left(site, build, monkeypatch, ranges):
    monkeypatch.setattr("uvicorn.bridge.files.resource.getrlimit", lambda _: (4, 4))
    assert site.ask("/static/large.bin", range=ranges).status == 503
    assert open_files(build / "large.bin") == 0
    assert site.ask("/static/app.js").status == 200


def open_files(path):
    """Return how often this process has a file open, where that can be told."""
    if not os.path.exists("/proc/self/fd"):
        return 0
    found = []
    for each in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{each}"))
        except OSError:
            pass  # the one that lists them
    return found.count(str(path))


@pytest.mark.parametrize("value", [None, "bytes=5-9", "bytes=0-9,1000-1009,100000-100009"])
def test_no_file_stays_open(site, build, value):
    for _ in range(3):
        site.ask("/static/large.bin", **({"Range": value} if value else {}))
        site.ask("/static/large.bin", "HEAD")
    assert open_files(build / "large.bin") == 0


def test_a_file_that_is_replaced_between_look_and_opening_is_sent_as_it_is_then(site, build, monkeypatch):
    """What is opened is another file than the one whose fields were made."""
    opened = folder_module.Folder.open
    new = b"n" * (SMALL + 7)

    def swap(folder, name, only_cached=False):
        found = opened(folder, name, only_cached)
        if name == b"large.bin" and not swapped:
            swapped.append(name)
            write(build / "large.bin", new, OLD + 10**10)
        return found

    swapped = []
    monkeypatch.setattr(folder_module.Folder, "open", swap)
    response = site.ask("/static/large.bin")
    assert response.body == new
    assert response.headers["content-length"] == str(len(new))


def test_a_file_that_is_gone_between_look_and_opening_is_404(site, build, monkeypatch):
    monkeypatch.setattr(site.files.reader, "open", lambda *_, **__: (build / "large.bin").unlink(missing_ok=True))
    assert site.ask("/static/large.bin").status == 404


@pytest.fixture
def growing(site, build, monkeypatch):
    """Append a byte to the large file whenever it was opened."""
    opened = folder_module.Folder.open

    def grow(folder, name, only_cached=False):
        found = opened(folder, name, only_cached)
        if name == b"large.bin":
            opens.append(found[1].st_size)
            with (build / "large.bin").open("ab") as file:
                file.write(b"+")
        return found

    opens = []
    monkeypatch.setattr(folder_module.Folder, "open", grow)
    return opens


def test_a_file_that_is_appended_to_all_the_time_is_sent_as_long_as_it_was(site, build, growing):
    """A log that is written to ten thousand times a second is another file at each look."""
    before = (build / "large.bin").read_bytes()
    response = site.ask("/static/large.bin")
    assert response.status == 200
    assert len(growing) == 7
    assert response.body == before + b"+" * 6
    assert response.headers["content-length"] == str(len(response.body))
    assert response.headers["etag"].startswith("W/")
    assert open_files(build / "large.bin") == 0


@pytest.mark.parametrize(
    ("fields", "status", "body"),
    [
        ({"Range": "bytes=2-4"}, 206, slice(2, 5)),
        ({"Range": "bytes=99999999-"}, 416, None),
        ({"If-None-Match": "*"}, 304, slice(0, 0)),
    ],
)
def test_conditions_and_ranges_of_a_file_that_changes_all_the_time(site, build, growing, fields, status, body):
    before = (build / "large.bin").read_bytes()
    response = site.ask("/static/large.bin", **fields)
    assert response.status == status
    assert body is None or response.body == before[body]
    assert open_files(build / "large.bin") == 0


def test_a_file_that_changes_all_the_time_and_is_gone_then_is_404(site, build, monkeypatch):
    def take(variant):
        raise folder_module.NotFound

    monkeypatch.setattr(site.files.reader, "open", lambda *_, **__: None)
    monkeypatch.setattr(site.files.reader, "take", take)
    assert site.ask("/static/large.bin").status == 404


def test_a_file_that_is_written_to_while_it_is_read_is_sent_as_it_was_read(site, build, monkeypatch):
    def read(fd, size, only_cached=False):
        sizes.append(size)
        with (build / "docs" / "plain.txt").open("ab") as file:
            file.write(b"x")
        return os.pread(fd, size, 0)

    sizes = []
    monkeypatch.setattr(static_entries, "read", read)
    response = site.ask("/static/docs/plain.txt")
    assert sizes == [10, 11, 12]
    assert response.body == b"0123456789xx"
    assert response.headers["content-length"] == "12"
    assert len(site.files._last_side.entries) == 0


def test_a_file_system_that_is_mounted_inside_is_for_threads(site, remembers, monkeypatch):
    monkeypatch.setattr(static_entries, "_TRUSTED_SECONDS", 1e9)
    site.ask("/static/app.js")
    before = site.site.files.works
    site.files.reader.folder._root.device += 1
    assert site.ask("/static/app.js").status == 200
    assert site.site.files.works == before + 1


def test_several_servers_in_one_process_remember_for_themselves(make_site, build, remembers):
    consumer = static(build)
    sites = [Site(consumer) for _ in range(2)]
    for site in sites * 2:
        client = site.connect()
        client.send(b"GET /app.js HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.statuses() == [200]
    assert len(consumer.target._sides) == 2
    for site in sites:
        site.end()
    third = make_site(consumer)
    third.connect().send(b"GET /app.js HTTP/1.1\r\nHost: x\r\n\r\n")
    assert len(consumer.target._sides) == 1  # of loops that are closed nothing is kept
