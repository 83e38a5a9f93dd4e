"""What is kept between processes: private whatever the umask, and read only where nobody else can have put it."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sparsenet.io import cache, files, trusted
from sparsenet.io.cache import cache_directory, keep, kept

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
SOMEBODY = 65534


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARSENET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_warned", False)
    return tmp_path / "cache"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777], ids=oct)
def test_folders_and_files_are_this_users_alone(root: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        assert keep("folder", "name.o", b"code")
        assert keep("folder", "name.o", b"other code")
    finally:
        os.umask(before)
    assert kept("folder", "name.o") == b"other code"
    assert [mode(p) for p in (root, root / "folder", root / "folder" / "name.o")] == [0o700, 0o700, 0o600]
    assert [p.name for p in (root / "folder").iterdir()] == ["name.o"]


def ignored(reason: str) -> None:
    """What is kept is not read, and a warning says why."""
    cache._warned = False
    with pytest.warns(RuntimeWarning, match=reason):
        assert kept("folder", "name.o") is None
    assert kept("folder", "name.o") is None  # a second warning would be an error


def test_what_others_may_write_is_not_read_but_replaced(root: Path) -> None:
    keep("folder", "name.o", b"code")
    file = root / "folder" / "name.o"
    for permissions in (0o622, 0o660, 0o666):
        file.chmod(permissions)
        ignored("others may write .*name.o")
    assert keep("folder", "name.o", b"new")
    assert kept("folder", "name.o") == b"new"
    assert mode(file) == 0o600


@pytest.mark.parametrize("permissions", [0o777, 0o770, 0o722], ids=oct)
@pytest.mark.parametrize("which", ["folder", "."])
def test_a_folder_that_others_may_write_is_not_used(root: Path, which: str, permissions: int) -> None:
    keep("folder", "name.o", b"code")
    (root / which).chmod(permissions)
    ignored("others may write .*chmod go-w")
    assert not keep("folder", "name.o", b"new")  # who planted one file there may have planted others
    assert mode(root / which) == permissions
    (root / which).chmod(0o755)
    assert kept("folder", "name.o") == b"code"


def test_the_cache_may_be_shared_as_tmp_is(root: Path) -> None:
    root.mkdir()
    root.chmod(0o1777)
    assert keep("folder", "name.o", b"code")
    assert kept("folder", "name.o") == b"code"
    (root / "folder").chmod(0o1777)
    ignored("others may write")


@AS_ROOT
@pytest.mark.parametrize("which", ["folder/name.o", "folder", "."])
def test_what_belongs_to_somebody_else_is_not_read(root: Path, which: str) -> None:
    keep("folder", "name.o", b"code")
    os.chown(root / which, SOMEBODY, SOMEBODY)
    ignored("belongs to another user")
    os.chown(root / which, 0, 0)
    assert kept("folder", "name.o") == b"code"
    if which != "folder/name.o":
        os.chown(root / which, SOMEBODY, SOMEBODY)
        cache._warned = False
        with pytest.warns(RuntimeWarning, match="belongs to another user"):
            assert not keep("folder", "name.o", b"code")


def test_what_has_a_second_name_is_not_read(root: Path, tmp_path: Path) -> None:
    keep("folder", "name.o", b"code")
    (tmp_path / "elsewhere").hardlink_to(root / "folder" / "name.o")
    ignored("hard link")
    assert keep("folder", "name.o", b"new")
    assert kept("folder", "name.o") == b"new"
    assert (tmp_path / "elsewhere").read_bytes() == b"code"


def test_what_is_far_too_large_is_not_read(root: Path) -> None:
    keep("folder", "name.o", b"code")
    os.truncate(root / "folder" / "name.o", 2**40)
    ignored("more than the limit")


def test_what_is_exchanged_after_the_check_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is looked up in the very folder that was checked, whatever has its name by then."""
    keep("folder", "name.o", b"code")
    keep("planted", "name.o", b"planted")
    (root / "planted").chmod(0o777)
    checked = trusted._require_own

    def exchange(path: Path, *arguments: Any, **words: Any) -> None:
        checked(path, *arguments, **words)
        if path.name == "folder":
            path.rename(root / "moved")
            (root / "planted").rename(path)

    monkeypatch.setattr(trusted, "_require_own", exchange)
    assert kept("folder", "name.o") == b"code"


def test_two_processes_may_write_at_once(root: Path) -> None:
    program = """
import sys
from sparsenet.io.cache import keep, kept
for number in range(60):
    assert keep("folder", "name.o", sys.argv[1].encode() * 50_000)
    assert kept("folder", "name.o") in (b"a" * 50_000, b"b" * 50_000)
"""
    writers = [subprocess.Popen([sys.executable, "-W", "error", "-c", program, word]) for word in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert [p.name for p in (root / "folder").iterdir()] == ["name.o"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_said_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep("folder", "name.o", b"code")

    def full(_folder: Path) -> Any:
        return Path("/dev/full").open("wb")

    with monkeypatch.context() as patch:
        patch.setattr(files, "_open_nameless", full)
        with pytest.warns(RuntimeWarning, match="cannot be kept in .*No space left"):
            assert not keep("folder", "name.o", b"new")
        assert not keep("folder", "other.o", b"new")
    assert kept("folder", "name.o") == b"code"
    assert [p.name for p in (root / "folder").iterdir()] == ["name.o"]


@AS_ROOT
def test_what_root_has_kept_can_be_read_by_all_and_trusted(root: Path) -> None:
    keep("folder", "name.o", b"code")
    root.parent.chmod(0o755)
    for path in (root, root / "folder"):
        path.chmod(0o755)
    (root / "folder" / "name.o").chmod(0o644)
    groups = [p for p in root.parents if not p.stat().st_mode & 0o001]
    if groups:
        pytest.skip(f"others may not enter {groups[-1]}")
    os.seteuid(SOMEBODY)
    try:
        assert kept("folder", "name.o") == b"code"
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("what", ["pipe", "link", "folder", "device", "socket"])
def test_nothing_but_a_regular_file_is_read(root: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "folder").mkdir(parents=True)
    path, elsewhere = root / "folder" / "name.o", root / "elsewhere"
    elsewhere.write_bytes(b"untouched")
    match what:
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(elsewhere)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "socket":
            monkeypatch.chdir(path.parent)  # the names of sockets are short
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path.name)
    ignored("symbolic link" if path.is_symlink() else "not a regular file")
    cache._warned = False
    if what == "folder":
        with pytest.warns(RuntimeWarning, match="cannot be kept"):
            assert not keep("folder", "name.o", b"code")
    else:
        assert keep("folder", "name.o", b"code")
        assert not path.is_symlink()
        assert kept("folder", "name.o") == b"code"
    assert elsewhere.read_bytes() == b"untouched"


def test_a_folder_that_is_a_link_is_not_entered(root: Path, tmp_path: Path) -> None:
    keep("elsewhere", "name.o", b"code")
    (root / "folder").symlink_to(root / "elsewhere")
    ignored("folder is a symbolic link")
    cache._warned = False
    with pytest.warns(RuntimeWarning, match="cannot be kept"):
        assert not keep("folder", "name.o", b"new")
    assert kept("elsewhere", "name.o") == b"code"


def test_the_cache_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    root.symlink_to(tmp_path / "real")
    assert keep("folder", "name.o", b"code")
    assert (tmp_path / "real" / "folder" / "name.o").read_bytes() == b"code"


def test_a_failure_is_said_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    root.write_text("in the way")
    assert not keep("folder", "name.o", b"code")
    assert not keep("folder", "other.o", b"code")
    (warning,) = recwarn.list
    assert str(root) in str(warning.message)
    assert "SPARSENET_CACHE_DIR" in str(warning.message)


def test_where_things_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SPARSENET_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "sparsenet"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "sparsenet"

    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert cache_directory() is None
    assert kept("folder", "name.o") is None
    with pytest.warns(RuntimeWarning, match="cannot be kept: this user has no home folder"):
        assert not keep("folder", "name.o", b"code")
