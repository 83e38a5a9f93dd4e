"""What every reader of image folders shares: listing files, counting bad ones, dividing into train and test."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

import numpy as np

from sparsenet.errors import DataError

Split = Literal["train", "test"]
OnError = Literal["raise", "skip"]
TEST_FRACTION = 0.25

# Left in folders by file managers, never meant as data; files starting with a dot are passed over as well.
_CLUTTER = {"thumbs.db", "desktop.ini"}


class BadFiles:
    """What to do with a file that cannot be used: ``raise`` a DataError naming it, or ``skip`` and count it."""

    def __init__(self, on_error: OnError) -> None:
        if on_error not in get_args(OnError):
            raise DataError(f"on_error is 'raise' or 'skip', not {on_error!r}")
        self._raise = on_error == "raise"
        self.count = 0
        self.first = ""

    def add(self, file: str | os.PathLike[str], reason: str) -> None:
        """One bad file more. DataError with the file and the reason when bad files are not skipped."""
        if self._raise:
            raise DataError(f"{file}: {reason}; repair or remove it, or skip bad files (on_error='skip')")
        self.first = self.first or f"{file}: {reason}"
        self.count += 1


def check_arguments(size: int, split: str) -> None:
    """DataError unless ``size`` (pixels) is positive and ``split`` is train or test."""
    if size < 1:
        raise DataError(f"the image size must be at least 1 pixel, got {size}")
    if split not in get_args(Split):
        raise DataError(f"unknown split {split!r}: choose 'train' or 'test'")


def subfolders(folder: Path, expected: str) -> list[str]:
    """Sorted names of the visible folders in ``folder``.

    DataError with ``expected`` (what should have been there) if it is missing, no folder, or not readable.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    except OSError as error:
        raise DataError(f"cannot read {folder} ({_reason(error)}): expected {expected}") from error
    return [entry.name for entry in entries if not entry.name.startswith(".")]


def list_files(folder: Path) -> list[Path]:
    """Every visible file below ``folder``, at any depth, sorted. DataError if a folder cannot be read."""

    def stop(error: OSError) -> None:
        raise DataError(f"cannot read {error.filename or folder} ({_reason(error)})") from error

    found: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, n) for n in files if not n.startswith(".") and n.lower() not in _CLUTTER]
    return sorted(found)


def inside(folder: Path, file: str) -> Path:
    """``folder / file``, by the name that a list of files gives it; DataError if that leads out of the folder."""
    path = PurePosixPath(file)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in file or Path(file).is_absolute():
        raise DataError(f"'{file}' is not a path inside the data folder")
    return folder / file


def held_out(strata: Mapping[str, str], seed: int, fraction: float = TEST_FRACTION) -> frozenset[str]:
    """The keys of ``strata`` (key → stratum) that form the test split: ``fraction`` of each stratum, seeded.

    A stratum of two or more gives at least one key to each side; a single key stays in training. The result
    depends on the keys, their strata and the seed only, never on their order.
    """
    members: dict[str, list[str]] = {}
    for key in sorted(strata):
        members.setdefault(strata[key], []).append(key)
    generator = np.random.default_rng(seed)
    test: set[str] = set()
    for stratum in sorted(members):
        keys = members[stratum]
        order = generator.permutation(len(keys))
        count = min(max(round(fraction * len(keys)), 1), len(keys) - 1)
        test.update(keys[i] for i in order[:count])
    return frozenset(test)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
