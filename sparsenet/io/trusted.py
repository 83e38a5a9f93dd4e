"""Files whose bytes will be run: opened only where nobody but this user, or root, can have put them.

Every folder from a root on, and the file itself, must belong to one of the two, and others may not write it. Each is
opened inside the one before and checked once it is open, so that nothing can be exchanged in between. Below the root no
link is followed, and the file has no second name, which another user's folder could have given it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sparsenet.io.descriptors import Descriptors
from sparsenet.io.files import open_regular

_POSIX = hasattr(os, "geteuid") and os.open in os.supports_dir_fd
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
#: Permission bits.
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class UntrustedError(OSError):
    """A file or folder that somebody else may have put there; the message is a line that names it."""


def open_trusted(root: Path, *names: str) -> BinaryIO:
    """Open the regular file ``root / names[0] / …`` for reading.

    Raises:
        UntrustedError: it or a folder of it is not this user's or root's alone or is a link, or it is no regular file.
        OSError: it is not there or cannot be read.
    """
    if not _POSIX:
        return open_regular(root.joinpath(*names))
    with trusted_folder(root, *names[:-1]) as folder:
        path = root.joinpath(*names)
        with _explained(path):
            file = open_regular(names[-1], _NO_LINK, folder)
        try:
            status = os.fstat(file.fileno())
            _require_own(path, status)
            if status.st_nlink > 1:
                raise UntrustedError(f"{path} has a second name, a hard link")
        except OSError:
            file.close()
            raise
        return file


@contextmanager
def trusted_folder(root: Path, *names: str) -> Iterator[int | None]:
    """Hold the folder ``root / names[0] / …`` open and checked: its descriptor; None where systems have no such thing.

    The root alone may be a link, or be shared as ``/tmp`` is: there, nobody moves what belongs to others.

    Raises:
        UntrustedError: one of the folders is not this user's or root's alone, or is a link.
        OSError: one is not there or cannot be opened.
    """
    if not _POSIX:
        yield None
        return
    opened = Descriptors()
    try:
        folder = _open_folder(opened, root, root)
        for depth, name in enumerate(names, 1):
            folder = _open_folder(opened, root.joinpath(*names[:depth]), name, folder)
        yield folder
    finally:
        opened.close()


def _open_folder(opened: Descriptors, path: Path, name: str | Path, inside: int | None = None) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | (0 if inside is None else _NO_LINK)
    with _explained(path):
        descriptor = opened.open(name, flags, inside)
    _require_own(path, os.fstat(descriptor), shared=inside is None)
    return descriptor


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and path.is_symlink():
            raise UntrustedError(f"{path} is a symbolic link") from None
        if error.errno in (errno.EINVAL, errno.EISDIR, errno.ENXIO):  # a socket is the latter
            raise UntrustedError(f"{path} is not a regular file") from None
        raise


def _require_own(path: Path, status: os.stat_result, shared: bool = False) -> None:
    if status.st_uid not in (os.geteuid(), 0):
        raise UntrustedError(f"{path} belongs to another user")
    if status.st_mode & OTHERS_WRITE and not (shared and status.st_mode & stat.S_ISVTX):
        raise UntrustedError(f"others may write {path} (chmod go-w takes that from them)")
