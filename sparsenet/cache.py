"""What is kept between processes: machine code, and what was measured with it.

Machine code is run, so it is read only where nobody but this user, or root, can have put it: folders and files belong
to one of them, others may not write them, and nothing is read through a link or from anything but a regular file.
Folders are made for this user alone (0700), files too (0600), whatever the umask.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparsenet.files import open_regular, replace_file

VARIABLE = "SPARSENET_CACHE_DIR"
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def cache_directory() -> Path | None:
    """Where things are kept: ``SPARSENET_CACHE_DIR``, else ``sparsenet`` in the user's cache folder.

    None where the user has no home. The folder need not exist.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).absolute()
    user = os.environ.get("XDG_CACHE_HOME", "")
    if Path(user).is_absolute():
        return Path(user) / "sparsenet"
    try:
        home = Path.home()
    except (RuntimeError, KeyError):  # no HOME, and the system does not know the user
        return None
    return home / ".cache" / "sparsenet" if home.is_absolute() else None


def kept(folder: str, name: str) -> bytes | None:
    """What ``keep`` wrote under these names; None if there is nothing that can be trusted."""
    root = cache_directory()
    if root is None:
        return None
    try:
        with _own_folder(root / folder), open_regular(root / folder / name, _NO_LINK) as file:
            _require_own(os.fstat(file.fileno()))
            return file.read()
    except OSError:
        return None


def keep(folder: str, name: str, data: bytes) -> bool:
    """Write ``data`` where ``kept`` finds it, and say whether that was possible; a first failure is a warning."""
    root = cache_directory()
    try:
        if root is None:
            raise OSError("this user has no home folder")
        _make(root / folder)
        with _own_folder(root / folder):
            replace_file(root / folder / name, data, 0o600)
    except OSError as error:
        _warn_once(root, error.strerror or str(error))
        return False
    return True


_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_warned = False


def _warn_once(root: Path | None, reason: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        where = "" if root is None else f" in {root}"
        warnings.warn(
            f"compiled kernels and measurements cannot be kept{where}: {reason}; every process makes them anew, "
            f"which takes seconds: set {VARIABLE} to a folder of your own",
            RuntimeWarning,
            stacklevel=2,
        )


def _make(folder: Path) -> None:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        try:
            path.mkdir(0o700)
        except FileExistsError:  # another process has just made it
            continue
        path.chmod(0o700)  # the umask may have taken our own rights


@contextmanager
def _own_folder(path: Path) -> Iterator[None]:
    """Hold ``path`` open and checked; of a folder of ours, others lose the right to write.

    Raises:
        OSError: it is a link, somebody else's, or cannot be opened.
    """
    if not hasattr(os, "geteuid"):
        yield
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _NO_LINK)
    try:
        status = os.fstat(descriptor)
        if status.st_uid == os.geteuid() and status.st_mode & _OTHERS_WRITE:
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~_OTHERS_WRITE)
            status = os.fstat(descriptor)
        _require_own(status)
        yield
    finally:
        os.close(descriptor)


def _require_own(status: os.stat_result) -> None:
    if hasattr(os, "geteuid") and (
        status.st_uid not in (os.geteuid(), 0) or stat.S_IMODE(status.st_mode) & _OTHERS_WRITE
    ):
        raise OSError("it belongs to another user, or others may write it")
