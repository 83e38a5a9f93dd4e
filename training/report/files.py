"""Files that are either whole or not there."""

from __future__ import annotations

from pathlib import Path

from sparsenet.errors import DataError
from sparsenet.io.files import write_atomically


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all; the folder is made where it is missing.

    Raises:
        DataError: the folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
