"""The cache kept between processes: machine code, and what was measured with it.

Machine code is run, so it is read only where nobody but this user, or root, can have put it (``sparsenet.io.trusted``);
anything else is ignored with one warning, and made anew. Folders are made for this user alone (0700), files too (0600),
whatever the umask.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from sparsenet.errors import MemoryLimitError
from sparsenet.io.files import read_open, replace_file
from sparsenet.io.trusted import UntrustedError, open_trusted, trusted_folder

VARIABLE = "SPARSENET_CACHE_DIR"
#: Bytes that an entry may have; a kernel has some kilobytes.
MAX_BYTES = 2**28


def cache_directory() -> Path | None:
    """The cache's folder: ``SPARSENET_CACHE_DIR``, else ``sparsenet`` in the user's cache folder.

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
    """The bytes that ``keep`` wrote under these names; None if there are none, or none to be trusted (a warning)."""
    root = cache_directory()
    if root is None:
        return None
    try:
        with open_trusted(root, folder, name) as file:
            return read_open(file, MAX_BYTES)
    except (UntrustedError, MemoryLimitError) as error:
        ignore(folder, name, str(error))
    except OSError:  # not there; what keeps it from being there, ``keep`` says
        pass
    return None


def keep(folder: str, name: str, data: bytes) -> bool:
    """Write ``data`` where ``kept`` finds it, and say whether that was possible; a first failure is a warning."""
    root = cache_directory()
    try:
        if root is None:
            raise OSError("this user has no home folder")
        _make(root / folder)
        with trusted_folder(root, folder):
            replace_file(root / folder / name, data, 0o600)
    except OSError as error:
        where = "" if root is None else f" in {root}"
        _warn_once(f"compiled kernels and measurements cannot be kept{where}: {error.strerror or error}")
        return False
    return True


def ignore(folder: str, name: str, reason: str) -> None:
    """Warn, the first time, that what is kept under these names is not used."""
    root = cache_directory()
    _warn_once(f"what is kept in {root and root / folder / name} is ignored: {reason}")


_warned = False


def _warn_once(what: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"{what}; kernels are made anew, which takes seconds: set {VARIABLE} to a folder of your own",
            RuntimeWarning,
            stacklevel=4,
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
