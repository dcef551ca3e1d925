"""Opening files of a folder: nothing outside is reached, nothing but plain files is opened, no file stays open."""

import errno
import os
import socket
import threading
from pathlib import Path

import pytest

from uvicorn.applications import folder as module
from uvicorn.applications import local_disks
from uvicorn.applications.folder import Folder, NotCached, NotFound, facts_of, read
from uvicorn.applications.local_disks import is_local, local_by

SECRET = b"the secret outside"


@pytest.fixture(params=["openat2", "components"])
def way(request, monkeypatch):
    """The two ways of opening."""
    if request.param == "components":
        monkeypatch.setattr(module, "_has_openat2", lambda: False)
        monkeypatch.setattr(module, "_has_cached", lambda: False)
    elif not module._has_openat2():
        pytest.skip("the system has no openat2")
    return request.param


@pytest.fixture
def tree(tmp_path):
    """A folder with a file, and a secret beside it; at the end nothing but the folder is open."""
    (tmp_path / "in" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "in" / "file.txt").write_bytes(b"inside")
    (tmp_path / "in" / "deep" / "er" / "file.txt").write_bytes(b"deeper")
    (tmp_path / "secret.txt").write_bytes(SECRET)
    yield tmp_path
    assert len([path for path in open_files() if str(tmp_path) in path]) <= 1


@pytest.fixture
def folder(tree, way):
    return Folder(str(tree / "in"))


def open_files():
    """Return what this process has open, where that can be told."""
    found = []
    for each in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").exists() else ():
        try:
            found.append(os.readlink(each))
        except OSError:
            pass  # the one that lists them
    return found


def content(folder, name, **options):
    fd, stat = folder.open(name, **options)
    try:
        return read(fd, stat.st_size)
    finally:
        os.close(fd)


def test_files_are_opened(folder):
    assert content(folder, b"file.txt") == b"inside"
    assert content(folder, b"deep/er/file.txt") == b"deeper"


@pytest.mark.parametrize(
    "name",
    [
        b"none.txt", b"none/file.txt", b"file.txt/x", b"deep", b"deep/er", b"../secret.txt", b"deep/../../secret.txt",
        b"..",
        b"x" * 300, b"x/" * 3000, b"file.txt\0.jpg", b"\0", b"/etc/passwd", b"",
    ],
)  # fmt: skip
def test_what_is_no_file_inside_is_not_found(folder, name):
    with pytest.raises(NotFound):
        folder.open(name)


@pytest.mark.parametrize("target", ["../secret.txt", "{tree}/secret.txt", "/etc/passwd", "loop", "/proc/self/environ"])
def test_a_link_never_leads_out(folder, tree, target):
    (tree / "in" / "loop").symlink_to("loop")
    (tree / "in" / "link").symlink_to(target.format(tree=tree))
    (tree / "in" / "out").symlink_to("..")
    for name in (b"link", b"out/secret.txt", b"out/in/file.txt"):
        with pytest.raises(NotFound):
            folder.open(name)


def test_a_link_that_stays_inside_is_followed_where_the_kernel_can_see_to_it(folder, tree, way):
    (tree / "in" / "link").symlink_to("deep/er/file.txt")
    (tree / "in" / "inner").symlink_to("deep")
    (tree / "in" / "deep" / "up").symlink_to("../file.txt")
    for name, expected in ((b"link", b"deeper"), (b"inner/er/file.txt", b"deeper"), (b"deep/up", b"inside")):
        if way == "openat2":
            assert content(folder, name) == expected
        else:
            with pytest.raises(NotFound):
                folder.open(name)


def test_what_is_no_plain_file_is_not_opened(folder, tree, monkeypatch):
    os.mkfifo(tree / "in" / "fifo")
    monkeypatch.chdir(tree)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("in/socket")
        for name in (b"fifo", b"socket"):
            with pytest.raises(NotFound):
                folder.open(name)


def test_a_device_is_not_opened(way):
    with pytest.raises(NotFound):
        Folder("/dev").open(b"null")


def test_a_file_that_may_not_be_read_is_not_found(folder, tree):
    (tree / "in" / "file.txt").chmod(0)
    if os.access(tree / "in" / "file.txt", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(NotFound):
        folder.open(b"file.txt")


def test_too_many_open_files_are_no_matter_of_the_file(folder, monkeypatch):
    folder.renew()

    def fail(*_):
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(module, "_openat2", fail)
    monkeypatch.setattr(module, "_open_by_components", fail)
    with pytest.raises(OSError, match="too many"):
        folder.open(b"file.txt")


def test_a_folder_that_is_gone_and_comes_back(folder, tree, monkeypatch):
    monkeypatch.setattr(module, "_RENEWED_SECONDS", -1.0)
    assert content(folder, b"file.txt") == b"inside"
    (tree / "in").rename(tree / "old")
    with pytest.raises(NotFound):
        folder.renew()
    with pytest.raises(NotFound):
        folder.open(b"file.txt")
    (tree / "in").mkdir()
    (tree / "in" / "file.txt").write_bytes(b"new")
    folder.renew()
    assert content(folder, b"file.txt") == b"new"


def test_a_folder_that_is_a_link_may_be_switched(tree, way, monkeypatch):
    monkeypatch.setattr(module, "_RENEWED_SECONDS", -1.0)
    (tree / "current").symlink_to("in")
    folder = Folder(str(tree / "current"))
    assert content(folder, b"file.txt") == b"inside"
    (tree / "next").mkdir()
    (tree / "next" / "file.txt").write_bytes(b"next")
    (tree / "new").symlink_to("next")
    (tree / "new").rename(tree / "current")
    folder.renew()
    assert content(folder, b"file.txt") == b"next"


def test_a_link_that_is_swapped_while_it_is_opened_never_leads_out(folder, tree):
    """Another thread swaps a folder for a link to the outside and back, all the time."""
    inside = tree / "in"
    (inside / "swapped").mkdir()
    (inside / "swapped" / "secret.txt").write_bytes(b"inside")
    (inside / "spare").symlink_to("..")
    ended = threading.Event()

    def swap():
        names = [inside / each for each in ("swapped", "aside", "spare")]
        while not ended.is_set():
            names[0].rename(names[1])
            names[2].rename(names[0])
            names[0].rename(names[2])
            names[1].rename(names[0])

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        seen = {b"": 0, b"inside": 0}
        for _ in range(3000):
            try:
                found = content(folder, b"swapped/secret.txt")
            except NotFound:
                found = b""
            assert found in seen
            seen[found] += 1
    finally:
        ended.set()
        thread.join()


def test_what_the_kernel_has_in_memory_is_opened_at_once(tree):
    if not module._has_cached():
        pytest.skip("the system cannot tell")
    folder = Folder(str(tree / "in"))
    folder.renew()
    assert content(folder, b"file.txt") == b"inside"
    if folder.is_local:
        assert content(folder, b"file.txt", only_cached=True) == b"inside"
        with pytest.raises(NotFound):
            folder.open(b"deep", only_cached=True)
    folder.is_local = False
    with pytest.raises(NotCached):
        folder.open(b"file.txt", only_cached=True)


def test_without_such_a_system_all_is_for_threads(folder, way):
    folder.renew()
    if way == "components":
        with pytest.raises(NotCached):
            folder.open(b"file.txt", only_cached=True)


def test_a_read_that_would_wait_says_so(tree, monkeypatch):
    fd = os.open(tree / "in" / "file.txt", os.O_RDONLY)
    try:
        assert read(fd, 6) == b"inside"
        with pytest.raises(NotCached):
            read(fd, 7, only_cached=True)  # shorter than it was: for a thread to see

        def refuse(*_):
            raise OSError(errno.EAGAIN, "not in memory")

        monkeypatch.setattr(os, "preadv", refuse, raising=False)
        with pytest.raises(NotCached):
            read(fd, 6, only_cached=True)
    finally:
        os.close(fd)


MOUNTS = [
    b"22 27 0:21 / /proc rw,relatime - proc proc rw\n",
    b"27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n",
    b"30 27 0:40 / /mnt/net rw - nfs4 server:/x rw,addr=192.0.2.1\n",
    b"31 30 0:41 / /mnt/net/local rw - tmpfs tmpfs rw\n",
    b"32 27 0:42 / /with\\040space rw - cifs //server/x rw\n",
    b"33 27 0:43 / /over rw - nfs4 server:/y rw\n",
    b"34 27 0:44 / /over rw - overlay overlay rw,lowerdir=/a\n",
    b"35 27 0:45 / /fuse rw - fuse.sshfs server: rw\n",
]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/srv/build", True), (b"/", True), (b"/mnt/net", False), (b"/mnt/net/x", False), (b"/mnt/network", True),
        (b"/mnt/net/local/x", True), (b"/with space/x", False), (b"/over/x", True), (b"/fuse", False),
        (b"/proc/1", False),
    ],
)  # fmt: skip
def test_file_systems_of_this_machine_are_told_from_others(path, expected):
    assert local_by(MOUNTS, path) is expected


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_a_system_without_openat2_or_one_that_forbids_it_is_told(monkeypatch, number):
    def refuse(*_):
        raise OSError(number, "no")

    monkeypatch.setattr(module, "_openat2", refuse)
    assert not module._works(0)
    monkeypatch.setattr(module.sys, "platform", "darwin")
    assert not module._works(0)


def test_a_name_that_does_not_stand_still_is_not_found(tree, monkeypatch):
    def wait(*_):
        tries.append(1)
        raise OSError(errno.EAGAIN, "something was renamed")

    if not module._has_cached():
        pytest.skip("the system has no openat2")
    tries = []
    folder = Folder(str(tree / "in"))
    folder.renew()
    folder.is_local = True
    monkeypatch.setattr(module, "_openat2", wait)
    with pytest.raises(NotFound):
        folder.open(b"file.txt")
    assert len(tries) == 16
    with pytest.raises(NotCached):
        folder.open(b"file.txt", only_cached=True)
    assert len(tries) == 17


def test_a_file_of_another_file_system_inside_is_for_a_thread(tree):
    folder = Folder(str(tree / "in"))
    folder.renew()
    folder._root.device += 1
    assert content(folder, b"file.txt") == b"inside"
    facts = facts_of(os.stat(tree / "in" / "file.txt"))
    assert not folder.is_same(b"file.txt", facts)
    assert folder.is_same(b"file.txt", facts, only_cached=False)
    assert not folder.is_same(b"none", facts, only_cached=False)
    if module._has_cached() and folder.is_local:
        with pytest.raises(NotCached):
            folder.open(b"file.txt", only_cached=True)


def test_what_becomes_a_fifo_between_look_and_opening_is_closed(tree, monkeypatch):
    folder = Folder(str(tree / "in"))
    os.mkfifo(tree / "in" / "fifo")
    opened = os.open(tree / "in" / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    monkeypatch.setattr(module, "_open_beneath", lambda *_: opened)
    monkeypatch.setattr(module, "_open_by_components", lambda *_: opened)
    with pytest.raises(NotFound):
        folder.open(b"fifo")
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(opened)


def test_a_system_without_a_list_of_mounts_says_nothing_of_its_file_systems(monkeypatch):
    def fail(*_):
        raise FileNotFoundError

    monkeypatch.setattr(local_disks, "open", fail, raising=False)
    assert not is_local("/")


def test_a_folder_is_shown_by_its_path(tree):
    assert repr(Folder(str(tree))) == f"<Folder {tree}>"
