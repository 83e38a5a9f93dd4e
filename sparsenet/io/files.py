"""Reading files of unknown size safely, and writing files so that no reader ever sees half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.io.descriptors import opener


def open_regular(path: str | os.PathLike[str], flags: int = 0, folder: int | None = None) -> BinaryIO:
    """Open a regular file for reading; a pipe or device, which may never end or begin, is refused.

    ``folder`` is the descriptor of the folder that ``path`` starts from; None: the current one.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
    flags |= os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY"))
    file = open(path, "rb", opener=opener(flags, folder=folder))  # noqa: SIM115 - it is the caller's
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is not a regular file")
    return file


def is_folder(path: Path) -> bool:
    """Whether ``path`` is a folder; False, as from Python 3.14 on, where nobody may look."""
    return os.path.isdir(path)  # noqa: PTH112


def read_whole(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: it cannot be read or is no regular file.
        MemoryLimitError: it has more than ``limit`` bytes.
    """
    with open_regular(path) as file:
        return read_open(file, limit)


def read_open(file: BinaryIO, limit: int) -> bytes:
    """The bytes of an open regular file; MemoryLimitError if it has more than ``limit``."""
    size = os.fstat(file.fileno()).st_size
    if size > limit:
        raise MemoryLimitError(f"it has {size} bytes, more than the limit of {limit}")
    # What the file has, not what it may have: read() takes the memory for all that it is asked for beforehand.
    return file.read(size)


def require_outputs(
    outputs: Iterable[str | os.PathLike[str] | None], sources: Iterable[str | os.PathLike[str] | None] = ()
) -> None:
    """Check, before work begins, that files can be written under these names without losing anything else.

    Args:
        outputs: names of files to write; those that are None, or in ``sources`` name no file, do not count.
        sources: what the work reads: no output may be one of them, by whatever name or link, nor a file in a folder
            among them. They are only looked at if an output is there already.

    Raises:
        InputError: a name is that of a source or of another output, of a folder, pipe, device or socket, of a file that
            may not be written, or one in a folder that is not there or lets none be made.
    """
    names: dict[Path, Path] = {}
    for given in outputs:
        if given is None:
            continue
        path = Path(given)
        try:
            target = written_file(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
        if not is_folder(target.parent):
            raise InputError(f"{path}: cannot be written: there is no folder {target.parent}")
        if not target.exists() and not os.access(target.parent, os.W_OK | os.X_OK):
            raise InputError(f"{path}: cannot be written: the folder {target.parent} lets no file be made")
        if target in names or any(_same_file(target, name) for name in names):
            raise InputError(f"{path}: two results cannot be written to one file; choose another name")
        names[target] = path
    replaced = {target: path for target, path in names.items() if target.exists()}
    for source in sources if replaced else ():
        if source is not None:
            for target, path in replaced.items():
                _require_other(target, path, Path(source))


def require_output_folder(path: Path) -> None:
    """Check, before work begins, that a folder of this name is there, or can be made, and takes files.

    Raises:
        InputError: something else is there, or the folder may not be written.
    """
    nearest = next((name for name in (path, *path.parents) if os.path.lexists(name)), path)
    if not is_folder(nearest):
        raise InputError(f"cannot use the folder {path}: {nearest} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"cannot use the folder {path}: {nearest} lets no file be made")


def write_output(path: Path, data: bytes) -> None:
    """Write what a command was asked to write, as ``write_atomically`` does.

    Raises:
        InputError: it cannot be written; what was there is untouched.
    """
    try:
        write_atomically(path, data)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def written_name(path: str | os.PathLike[str]) -> Path:
    """The name that a link, or a chain of them, leads to; ``path`` itself, made absolute, where there is none."""
    return Path(os.path.realpath(path))


def written_file(path: str | os.PathLike[str]) -> Path:
    """The regular file, there or not yet, that writing to ``path`` means: a link is followed.

    Raises:
        OSError: something else is there, a folder, pipe, device or socket, or a file that may not be written.
    """
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return written_name(path)
    if not stat.S_ISREG(mode):
        kind = next((word for is_kind, word in _KINDS if is_kind(mode)), "something else")
        raise OSError(
            errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL, f"it is {kind}, not a regular file"
        )
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return written_name(path)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to a temporary file beside ``path``, flush it to disk, then let it take that name.

    On Linux the temporary file has no name until it is whole, and a new file gets its own name at once: a process that
    is killed leaves no part of a file. Only between the two calls that replace an old file, whole data may stay behind
    as ``.*.part``. A file that is replaced keeps its permissions, and a link goes on pointing: what it points to is
    replaced. Where the folder lets no file be made or replaced but the file itself may be written, it is overwritten in
    place, once there is room for all of it; that alone is not atomic.

    Raises:
        OSError: the folder does not exist or cannot be written, there is no room, or no regular file stands at
            ``path``; what was there is untouched then.
    """
    target = written_file(path)
    try:
        replace_file(target, data)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EBUSY) or not target.exists():
            raise
        _overwrite(target, data)


def replace_file(target: Path, data: bytes, mode: int | None = None) -> None:
    """Put a new file at ``target``, in place of anything but a folder, even of a link; see ``write_atomically``.

    Args:
        mode: its permissions; None: those of what it replaces, or what the umask allows.

    Raises:
        OSError: it cannot be written; what was there is untouched then.
    """
    temporary = target.parent / f".{os.urandom(8).hex()}.part"
    nameless = _open_nameless(target.parent)
    try:
        with nameless or temporary.open("xb") as file:
            descriptor = file.fileno()
            with contextlib.suppress(OSError, AttributeError):
                os.fchmod(descriptor, stat.S_IMODE(target.stat().st_mode) if mode is None else mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
            if nameless:
                with contextlib.suppress(FileExistsError):
                    _name(descriptor, target)
                    return
                _name(descriptor, temporary)
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _name(descriptor: int, path: Path) -> None:
    """Give an open file without a name this one; FileExistsError where anything has it."""
    # Only with a folder given does Python follow the link, and without that the link itself would get the name.
    os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor, follow_symlinks=True)


def _overwrite(target: Path, data: bytes) -> None:
    flags = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    with open(target, "wb", opener=opener(flags)) as file:
        descriptor = file.fileno()
        before = os.fstat(descriptor).st_size
        if data and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(descriptor, 0, len(data))
            except OSError:
                os.ftruncate(descriptor, before)
                raise
        file.write(data)
        file.flush()
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)


def _require_other(target: Path, path: Path, source: Path) -> None:
    """Raise InputError if writing to ``target``, which ``path`` means, would replace what is read from ``source``."""
    if _same_file(target, source):
        raise InputError(f"{path}: is the same file as '{source}', which is read; choose another name")
    if is_folder(source) and any(_same_file(folder, source) for folder in target.parents):
        raise InputError(f"{path}: is a file in '{source}', which is read; choose another name")


def _same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # it names no file
        return False


_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def _open_nameless(folder: Path) -> BinaryIO | None:
    """A new file in ``folder``, to be written, that has no name yet; None where there is no such thing."""
    if not hasattr(os, "O_TMPFILE") or not Path("/proc/self/fd").exists():
        return None
    try:
        return open(folder, "wb", opener=opener(os.O_WRONLY | os.O_TMPFILE))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):  # not every file system can
            return None
        raise
