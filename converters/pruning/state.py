"""What is done already of a long work, in files of a folder, so that whoever begins it again goes on."""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sparsenet.checks import path_of
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray
from sparsenet.io.array_files import read_npz
from sparsenet.io.files import is_folder, require_output_folder, write_output

#: What says of which work the folder is the state.
_KEY = "work"


def key_of(texts: Iterable[str], arrays: Iterable[FloatArray]) -> str:
    """A name for the work that texts and arrays describe: SHA-256 of them all."""
    found = hashlib.sha256()
    for text in texts:
        found.update(text.encode() + b"\0")
    for array in arrays:
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


class State:
    """Arrays by name.

    Args:
        folder: it is made; what it holds of another work is forgotten.
        key: of the work (see ``key_of``).

    Raises:
        InputError: the folder cannot be used, or holds something else.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        require_output_folder(folder)
        known = folder / _KEY
        if is_folder(folder) and any(folder.iterdir()):
            if not known.is_file():
                raise InputError(f"cannot keep what is done in {folder}: it holds other files; move them")
            if known.read_text() != key:
                shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_output(known, key.encode())

    def known(self, name: str) -> Mapping[str, FloatArray] | None:
        """The arrays kept under ``name``; None if there are none."""
        path = self._path(name)
        return read_npz(path) if path.exists() else None

    def keep(self, name: str, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Keep some arrays under ``name``."""
        file = io.BytesIO()
        np.savez(file, **arrays)  # type: ignore[arg-type]
        write_output(self._path(name), file.getvalue())

    def scratch(self, name: str) -> Path:
        """An empty folder for files that nobody needs afterwards."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def forget(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


@contextmanager
def kept(folder: str | Path | None, key: str) -> Iterator[State]:
    """A state that is removed where the work within is done, and whatever happens if it has no folder of its own."""
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield State(Path(temporary), key)
        return
    state = State(path_of(folder, "state"), key)
    yield state
    state.forget()
