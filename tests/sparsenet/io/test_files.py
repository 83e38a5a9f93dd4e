from __future__ import annotations

import errno
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.io.files import read_whole, require_outputs, write_atomically


def test_a_file_is_replaced_whole_and_readable_by_whom_the_umask_allows(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    before = os.umask(0o022)
    try:
        write_atomically(path, b"new")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "no" / "x.bin", b"")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def null_device(path: Path) -> None:
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        before = Path.cwd()
        os.chdir(path.parent)  # a socket's whole name must be short
        try:
            made.bind(path.name)
        finally:
            os.chdir(before)


@pytest.mark.parametrize(
    "make, kind",
    [(Path.mkdir, "a folder"), (fifo, "a named pipe"), (null_device, "a device"), (bound_socket, "a socket")],
)
@pytest.mark.parametrize("linked", [False, True], ids=["itself", "through a link"])
def test_only_regular_files_are_replaced(
    make: Callable[[Path], None], kind: str, linked: bool, tmp_path: Path
) -> None:
    thing, name = tmp_path / "thing", tmp_path / ("link" if linked else "thing")
    make(thing)
    if linked:
        name.symlink_to("thing")
    before = (thing.lstat().st_mode, thing.lstat().st_ino, sorted(tmp_path.iterdir()))
    with pytest.raises(OSError, match=f"it is {kind}, not a regular file"):
        write_atomically(name, b"new")
    with pytest.raises(InputError, match=f"{name.name}: cannot be written: it is {kind}"):
        require_outputs([name])
    assert (thing.lstat().st_mode, thing.lstat().st_ino, sorted(tmp_path.iterdir())) == before


@pytest.mark.parametrize("there", [True, False])
def test_a_link_keeps_pointing(there: bool, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target, link, chain = tmp_path / "folder" / "x.bin", tmp_path / "link", tmp_path / "chain"
    link.symlink_to("folder/x.bin")
    chain.symlink_to(link)
    if there:
        target.write_bytes(b"old")
    write_atomically(chain, b"new")
    assert target.read_bytes() == b"new"
    assert not target.is_symlink()
    assert link.is_symlink()
    assert chain.is_symlink()


def test_links_that_lead_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_atomically(tmp_path / "a", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    path.chmod(0o600)
    write_atomically(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_longest_name_that_a_file_can_have(tmp_path: Path) -> None:
    path = tmp_path / ("\N{SNOWMAN}" * 85)  # 255 bytes
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user who is not root: root may write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder that takes no new files, with one that may be written; not in pytest's, which others may not enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "closed"
        folder.mkdir()
        (folder / "x.bin").write_bytes(b"something old")
        (folder / "x.bin").chmod(0o666)
        Path(name).chmod(0o755)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


def test_a_file_in_a_folder_that_takes_no_new_ones_is_overwritten(closed_folder: Path) -> None:
    path = closed_folder / "x.bin"
    inode = path.stat().st_ino
    for data in (b"new", b"something longer than before", b""):
        with unprivileged():
            write_atomically(path, data)
        assert path.read_bytes() == data
    assert path.stat().st_ino == inode
    with unprivileged(), pytest.raises(PermissionError):
        write_atomically(closed_folder / "other.bin", b"new")
    assert list(closed_folder.iterdir()) == [path]


def test_no_room_where_a_file_is_overwritten(closed_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        os.ftruncate(descriptor, length)  # as far as it got
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with unprivileged(), pytest.raises(OSError, match="No space left"):
        write_atomically(closed_folder / "x.bin", b"new and longer than what is there")
    assert (closed_folder / "x.bin").read_bytes() == b"something old"


def test_a_file_that_may_not_be_written_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    tmp_path.chmod(0o777)
    path.chmod(0o444)
    with unprivileged(), pytest.raises(OSError, match="Permission denied"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_file_larger_than_a_process_may_write(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"old")
    code = "import sys; from sparsenet.io.files import write_atomically; write_atomically(sys.argv[1], bytes(100_000))"

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = subprocess.run(
        [sys.executable, "-B", "-c", code, path],
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "File too large" in done.stderr
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_outputs_are_never_sources(tmp_path: Path) -> None:
    source, hard, soft = tmp_path / "m.onnx", tmp_path / "hard.onnx", tmp_path / "soft.onnx"
    source.write_bytes(b"model")
    hard.hardlink_to(source)
    soft.symlink_to(source)
    dotted = tmp_path / "." / ".." / tmp_path.name / "m.onnx"
    for name in (source, hard, soft, dotted):
        with pytest.raises(InputError, match=r"is the same file as '.*m.onnx', which is read"):
            require_outputs([name], [None, source])
    require_outputs([tmp_path / "new", None, tmp_path / "other"], [source, tmp_path / "not there"])
    with pytest.raises(InputError, match=r"soft.onnx: is a file in '.*', which is read"):
        require_outputs([soft], [tmp_path])
    require_outputs([tmp_path / "new"], [tmp_path])
    require_outputs([tmp_path / "new"], (1 / 0 for _ in "a"))  # sources may be costly to find
    for first, second in ((source, hard), (tmp_path / "new", dotted.with_name("new")), (soft, source)):
        with pytest.raises(InputError, match="two results cannot be written to one file"):
            require_outputs([first, second])
    with pytest.raises(InputError, match="there is no folder"):
        require_outputs([tmp_path / "no" / "x"])
    assert source.read_bytes() == b"model"


def test_reading_takes_the_memory_of_the_file_and_not_of_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"12345")
    assert read_whole(path, 2**60) == b"12345"  # nobody has 2**60 bytes
    assert read_whole(path, 5) == b"12345"
    with pytest.raises(MemoryLimitError, match="it has 5 bytes, more than the limit of 4"):
        read_whole(path, 4)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read_whole(tmp_path / "pipe", 5)


def test_a_process_killed_amid_writing_leaves_one_file_or_the_other(tmp_path: Path) -> None:
    path, versions = tmp_path / "x.bin", [letter * 2**18 for letter in (b"a", b"b")]
    path.write_bytes(versions[0])
    writer = (
        "import sys\nfrom sparsenet.io.files import write_atomically\nprint('begins', flush=True)\n"
        "while True:\n    for letter in (b'a', b'b'): write_atomically(sys.argv[1], letter * 2**18)"
    )
    for case in range(5):
        with subprocess.Popen([sys.executable, "-c", writer, path], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.003 * case)
            process.kill()
        assert path.read_bytes() in versions
