"""Reading files whose size nobody vouches for, and writing them so that no reader ever sees half of one."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from sparsenet.errors import MemoryLimitError


def read_whole(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a regular file; a pipe or device, which may never end, is not read.

    Raises:
        OSError: it cannot be read or is no regular file.
        MemoryLimitError: it has more than ``limit`` bytes.
    """
    # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        if status.st_size > limit:
            raise MemoryLimitError(f"it has {status.st_size} bytes, more than the limit of {limit}")
        # What the file has, not what it may have: read() takes the memory for all that it is asked for beforehand.
        return file.read(status.st_size)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to a temporary file beside ``path``, flush it to disk, then let it take that name.

    On Linux the temporary file has no name until it is whole: a process that is killed leaves nothing behind.

    Raises:
        OSError: the folder does not exist or cannot be written; what stood at ``path`` is untouched then.
    """
    target = Path(path)
    temporary = target.parent / f".{target.name[:64]}.{os.urandom(6).hex()}.part"
    descriptor = _open_nameless(target.parent)
    nameless = descriptor is not None
    try:
        if descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            descriptor = os.open(temporary, flags, 0o666)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if nameless:
                # Only with a folder given does Python follow the link, and without that there is none to it.
                os.link(f"/proc/self/fd/{descriptor}", temporary, src_dir_fd=descriptor, follow_symlinks=True)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _open_nameless(folder: Path) -> int | None:
    """A descriptor of a new file in ``folder`` that has no name yet; None where there is no such thing."""
    if not hasattr(os, "O_TMPFILE") or not Path("/proc/self/fd").exists():
        return None
    try:
        return os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o666)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):  # not every file system can
            return None
        raise
