"""What is kept between processes: private whatever the umask, and read only where nobody else can have put it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from sparsenet import cache
from sparsenet.cache import cache_directory, keep, kept

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


def test_what_others_may_write_is_not_read_but_replaced(root: Path) -> None:
    keep("folder", "name.o", b"code")
    file = root / "folder" / "name.o"
    for permissions in (0o622, 0o660, 0o666):
        file.chmod(permissions)
        assert kept("folder", "name.o") is None
    assert keep("folder", "name.o", b"new")
    assert kept("folder", "name.o") == b"new"
    assert mode(file) == 0o600


def test_others_lose_the_right_to_write_into_our_folder(root: Path) -> None:
    keep("folder", "name.o", b"code")
    (root / "folder").chmod(0o777)
    assert kept("folder", "name.o") == b"code"
    assert mode(root / "folder") == 0o755


@AS_ROOT
def test_what_belongs_to_somebody_else_is_not_read(root: Path) -> None:
    keep("folder", "name.o", b"code")
    os.chown(root / "folder" / "name.o", SOMEBODY, SOMEBODY)
    assert kept("folder", "name.o") is None
    os.chown(root / "folder" / "name.o", 0, 0)
    assert kept("folder", "name.o") == b"code"
    os.chown(root / "folder", SOMEBODY, SOMEBODY)
    assert kept("folder", "name.o") is None
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert not keep("folder", "name.o", b"code")


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


@pytest.mark.parametrize("what", ["pipe", "link", "folder", "device"])
def test_nothing_but_a_regular_file_is_read(root: Path, what: str) -> None:
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
    assert kept("folder", "name.o") is None
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
    assert kept("folder", "name.o") is None
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
