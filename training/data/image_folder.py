"""Any folder of images with one sub-folder per class."""

from __future__ import annotations

from pathlib import Path

from sparsenet.errors import DataError
from training.data.files import BadFiles, OnError, Split, check_arguments, held_out, list_files, subfolders
from training.data.images import LabeledImages

_EXPECTED = (
    "one sub-folder of images per class, at least two, or train/ and test/ (or val/) with these inside"
)


def load_image_folder(
    folder: str | Path,
    size: int,
    split: Split = "train",
    on_error: OnError = "raise",
    seed: int = 0,
    progress: bool = True,
) -> LabeledImages:
    """One split of an image folder at ``size`` × ``size`` pixels; classes are the sub-folders, sorted by name.

    ``train/`` beside ``test/`` (or else ``val/``) is the split where both exist; otherwise a quarter of each
    class, drawn with ``seed``, is the test split. Files may lie at any depth below their class.

    Raises:
        DataError: the folder is missing or unreadable, has fewer than two classes, an empty class, or other
            classes in train/ than in test/; a file is no readable image (``on_error="raise"``; with ``"skip"``
            it is counted in ``skipped``); no images are left.
    """
    folder = Path(folder)
    check_arguments(size, split)
    bad = BadFiles(on_error)
    parts = _parts(folder)
    names = class_names(folder)
    root = folder / parts[split] if parts else folder
    labels: dict[str, int] = {}
    for label, name in enumerate(names):
        files = list_files(root / name)
        if not files:
            raise DataError(f"{root / name} is empty: every class folder must hold at least one image")
        labels.update((path.relative_to(folder).as_posix(), label) for path in files)
    if not parts:
        test = held_out({file: names[label] for file, label in labels.items()}, seed)
        labels = {file: label for file, label in labels.items() if (file in test) == (split == "test")}
    return LabeledImages.from_files(folder, list(labels.items()), names, size, bad, progress)


def _parts(folder: Path) -> dict[Split, str]:
    """Sub-folder of each split, or nothing where the folder holds the classes themselves."""
    names = subfolders(folder, _EXPECTED)
    test = next((name for name in ("test", "val") if name in names), None)
    return {"train": "train", "test": test} if "train" in names and test else {}


def class_names(folder: Path) -> list[str]:
    """Sorted names of the classes. DataError if there are fewer than two, or the splits disagree."""
    parts = _parts(folder)
    if parts:
        train, test = (subfolders(folder / part, _EXPECTED) for part in parts.values())
        if train != test:
            odd = ", ".join(sorted(set(train) ^ set(test)))
            raise DataError(
                f"{folder}: train/ and {parts['test']}/ must have the same classes, differ in {odd}"
            )
        names = train
    else:
        names = subfolders(folder, _EXPECTED)
    if len(names) < 2:
        raise DataError(f"{folder} holds {len(names)} class folders: expected {_EXPECTED}")
    return names
