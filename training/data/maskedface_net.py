"""MaskedFace-Net: photographs of faces with a mask drawn on, worn correctly (CMFD) or in three wrong ways (IMFD).

Layout as published: ``CMFD/`` and ``IMFD/``, images directly inside or in numbered sub-folders, the class in the
file name. Cabani, Hammoudi, Benhabiles, Melkemi: "MaskedFace-Net – A dataset of correctly/incorrectly masked face
images in the context of COVID-19", Smart Health 19 (2021).
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from sparsenet.errors import DataError, MemoryLimitError
from sparsenet.io.files import read_whole
from sparsenet.limits import memory_limit
from training.data.files import (
    BadFiles,
    OnError,
    Split,
    check_arguments,
    held_out,
    inside,
    list_files,
    subfolders,
)
from training.data.images import LabeledImages

Task = Literal["2-class", "4-class", "cascade-1", "cascade-2"]

MAX_TABLE_BYTES = 2**27
CLASS_NAMES = ("correct", "uncovered_chin", "uncovered_nose", "uncovered_nose_and_mouth")

# The name says what the mask covers: "Mask_Chin" covers the chin alone and leaves nose and mouth bare.
_COVERED = {"": 0, "_Nose_Mouth": 1, "_Mouth_Chin": 2, "_Chin": 3}
_NAME = re.compile(
    r"(?P<person>[^_]+)_Mask(?P<covered>|_Nose_Mouth|_Mouth_Chin|_Chin)\.(?:jpg|jpeg|png)", re.I
)
_FOLDERS = ("CMFD", "IMFD")
_EXPECTED = "the folders CMFD/ and IMFD/ of MaskedFace-Net"

# Class names of each task, and the task's class of each of the four; None: not part of the task.
_TASKS: dict[str, tuple[tuple[str, ...], tuple[int | None, ...]]] = {
    "2-class": (("correct", "incorrect"), (0, 1, 1, 1)),
    "4-class": (CLASS_NAMES, (0, 1, 2, 3)),
    "cascade-1": (("correct", "incorrect"), (0, 1, 1, 1)),
    "cascade-2": (CLASS_NAMES[1:], (None, 0, 1, 2)),
}


def load_maskedface_net(
    folder: str | Path,
    size: int,
    task: Task = "4-class",
    split: Split = "train",
    on_error: OnError = "raise",
    seed: int = 0,
    progress: bool = True,
) -> LabeledImages:
    """One split of MaskedFace-Net at ``size`` × ``size`` pixels.

    ``cascade-1`` (the same labels as ``2-class``) and ``cascade-2`` (the three incorrect classes alone) are the
    two stages of the mask detector of the inference-acceleration paper; all tasks share one split.

    The split is ``split.csv`` (columns file, split; only listed files are used) where the folder has one.
    Otherwise a quarter of the people, drawn with ``seed`` from each class, is the test split: the id that
    leads the file name is the person, and no person is in both.

    Raises:
        DataError: the folder is missing or lacks CMFD/ or IMFD/; split.csv is wrong; a file is broken, empty
            or misnamed (``on_error="raise"``; with ``"skip"`` it is counted in ``skipped``); no images are left.
    """
    folder = Path(folder)
    check_arguments(size, split)
    if task not in _TASKS:
        raise DataError(f"unknown task {task!r}: choose one of {', '.join(get_args(Task))}")
    missing = [name for name in _FOLDERS if name not in subfolders(folder, _EXPECTED)]
    if missing:
        raise DataError(f"{folder} has no folder {' and no folder '.join(missing)}: expected {_EXPECTED}")
    bad = BadFiles(on_error)
    table = folder / "split.csv"
    chosen = _listed(folder, table, split, bad) if table.exists() else _by_person(folder, split, seed, bad)
    class_names, classes = _TASKS[task]
    labeled = [(file, label) for file, c in chosen.items() if (label := classes[c]) is not None]
    return LabeledImages.from_files(folder, labeled, class_names, size, bad, progress)


def parse_name(file: str) -> tuple[str, int]:
    """Person and class (number into CLASS_NAMES) of a file, from its path relative to the data folder.

    DataError with the bare reason if the name does not follow the pattern or contradicts its folder.
    """
    path = PurePosixPath(file)
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise DataError(
            "the name does not end in _Mask, _Mask_Nose_Mouth, _Mask_Mouth_Chin or _Mask_Chin and .jpg"
        )
    label = next(c for covered, c in _COVERED.items() if covered.lower() == match["covered"].lower())
    belongs = _FOLDERS[min(label, 1)]
    if path.parts[0] != belongs:
        raise DataError(f"the name says {CLASS_NAMES[label]}, which belongs in {belongs}/")
    return match["person"], label


def _by_person(folder: Path, split: Split, seed: int, bad: BadFiles) -> dict[str, int]:
    """File → class of one split, all the images of a person on the same side."""
    people: dict[str, dict[str, int]] = {}
    for path in sorted(path for name in _FOLDERS for path in list_files(folder / name)):
        file = path.relative_to(folder).as_posix()
        try:
            person, label = parse_name(file)
        except DataError as error:
            bad.add(path, str(error))
        else:
            people.setdefault(person, {})[file] = label
    # A person may have images of several classes: people with the same classes form one stratum.
    strata = {person: str(sorted(set(images.values()))) for person, images in people.items()}
    test = held_out(strata, seed)
    return {
        file: label
        for person, images in people.items()
        if (person in test) == (split == "test")
        for file, label in images.items()
    }


def _listed(folder: Path, table: Path, split: Split, bad: BadFiles) -> dict[str, int]:
    """File → class of one split as split.csv lists it."""
    splits = _read_table(table)
    chosen: dict[str, int] = {}
    for file in (file for file, listed in splits.items() if listed == split):
        try:
            chosen[file] = parse_name(file)[1]
        except DataError as error:
            bad.add(folder / file, str(error))
    return chosen


def _read_table(table: Path) -> dict[str, str]:
    try:
        text = read_whole(table, min(MAX_TABLE_BYTES, memory_limit() // 32)).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if len(set(reader.fieldnames or ())) != len(reader.fieldnames or ()):
            raise DataError(f"{table}, line 1: a column is named twice")
        rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error, MemoryLimitError) as error:
        raise DataError(f"cannot read {table}: {error}") from error
    splits: dict[str, str] = {}
    for line, row in enumerate(rows, start=2):
        file, name = row.get("file"), row.get("split")
        if not file or name is None or name not in get_args(Split):
            raise DataError(f"{table}, line {line}: expected the columns file and split (train or test)")
        try:
            inside(table.parent, file)
        except DataError as error:
            raise DataError(f"{table}, line {line}: {error}") from None
        if file in splits:
            raise DataError(f"{table}, line {line}: {file} is listed twice")
        splits[file] = name
    if not splits:
        raise DataError(f"{table} lists no files: expected the columns file and split")
    return splits
