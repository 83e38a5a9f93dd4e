"""Where training images come from: a folder, or faces drawn on the spot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sparsenet.errors import DataError
from sparsenet.io.files import is_folder
from training.data.files import OnError, Split
from training.data.images import LabeledImages
from training.data.load import load_images
from training.data.maskedface_net import CLASS_NAMES, Task


def image_folders(folder: Path | None) -> Iterator[Path]:
    """The folders below ``folder`` whose files are read as images, whatever its layout."""
    if folder is not None and is_folder(folder):
        yield from (entry for entry in folder.iterdir() if entry.is_dir())


def load_split(
    folder: Path | None,
    size: int,
    split: Split,
    *,
    task: Task | None = None,
    count: int = 2000,
    on_error: OnError = "raise",
    seed: int = 0,
    progress: bool = True,
) -> LabeledImages:
    """The "train" or "test" images of ``folder``; without one, ``count`` drawn faces (a quarter as many for "test").

    Raises:
        DataError: the folder or an image in it cannot be used, or the drawn faces lack the task.
    """
    if folder is not None:
        return load_images(
            folder, size, task=task, split=split, on_error=on_error, seed=seed, progress=progress
        )
    if task not in (None, "4-class"):
        raise DataError(f"drawn faces have four classes: task '{task}' needs --data")
    from training.data.synthetic import SyntheticMaskedFaces

    faces = SyntheticMaskedFaces(
        count if split == "train" else max(8, count // 4), size=size, seed=seed, split=split
    )
    return LabeledImages.from_dataset(faces, CLASS_NAMES, progress=progress)
