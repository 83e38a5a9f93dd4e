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
        return file.read(limit + 1)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to a temporary file beside ``path``, flush it to disk, then let it take that name.

    Raises:
        OSError: the folder does not exist or cannot be written; what stood at ``path`` is untouched then.
    """
    import tempfile  # takes longer to import than most of the engine, which only reads

    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(
        prefix=f".{target.name[:64]}.", suffix=".part", dir=target.parent
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())  # mkstemp makes it private
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
