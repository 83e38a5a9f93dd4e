"""``load_images``: open a data folder whatever its layout."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from sparsenet.errors import DataError
from training.data.files import OnError, Split, subfolders
from training.data.image_folder import class_names, load_image_folder
from training.data.images import LabeledImages
from training.data.maskedface_net import Task, load_maskedface_net

_EXPECTED = "CMFD/ and IMFD/ (MaskedFace-Net), or one sub-folder of images per class"


def require_layout(folder: str | Path) -> None:
    """DataError unless ``folder`` is laid out as one that ``load_images`` opens; no image is looked at."""
    folder = Path(folder)
    if not {"CMFD", "IMFD"} & set(subfolders(folder, _EXPECTED)):
        class_names(folder)


def load_images(
    folder: str | Path,
    size: int,
    task: Task | None = None,
    split: Split = "train",
    on_error: OnError = "raise",
    seed: int = 0,
    progress: bool = True,
) -> LabeledImages:
    """One split of the images in ``folder``: MaskedFace-Net if CMFD/ or IMFD/ is there, else an image folder.

    Without a ``task`` MaskedFace-Net has its four classes. An image folder's classes are its sub-folders,
    whatever the number in ``task``; the cascade tasks are MaskedFace-Net's alone.

    Raises:
        DataError: the task is unknown or does not suit the folder; or as from the two loaders.
    """
    folder = Path(folder)
    if {"CMFD", "IMFD"} & set(subfolders(folder, _EXPECTED)):
        return load_maskedface_net(folder, size, task or "4-class", split, on_error, seed, progress)
    if task not in (None, *get_args(Task)):
        raise DataError(f"unknown task {task!r}: choose one of {', '.join(get_args(Task))}")
    if task in ("cascade-1", "cascade-2"):
        raise DataError(f"{folder}: the task {task!r} needs MaskedFace-Net, with its folders CMFD/ and IMFD/")
    return load_image_folder(folder, size, split, on_error, seed, progress)
