"""The images of a run, decoded or drawn once and kept as files that every cell reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from sparsenet.errors import DataError
from sparsenet.io.files import write_atomically
from training.data.files import Split
from training.data.images import LabeledImages
from training.data.sources import load_split
from training.reproduce.settings import Settings

BINARY = ("correct", "incorrect")


def collect(settings: Settings, out: Path, split: str, size: str) -> None:
    """Cell: write the "train" or "test" images of ``settings.data``, or drawn ones, at ``size`` × ``size`` pixels."""
    images = load_split(
        Path(settings.data) if settings.data else None,
        int(size),
        cast(Split, split),
        count=settings.images,
        progress=False,
    )
    save_images(images, out)


def save_images(images: LabeledImages, path: Path) -> None:
    """Write pixels, labels and names as one .safetensors."""
    metadata = {"class_names": json.dumps(images.class_names), "files": json.dumps(images.files)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save({"images": images.images, "labels": images.labels}, metadata))


def load_images(path: Path) -> LabeledImages:
    """Read what ``save_images`` wrote; DataError if it is missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            names, files = json.loads(metadata["class_names"]), json.loads(metadata["files"])
            return LabeledImages(
                file.get_tensor("images"), file.get_tensor("labels"), tuple(names), tuple(files)
            )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path} holds no images of a run: {error}") from None


def binary(images: LabeledImages) -> LabeledImages:
    """Two classes of four: is the mask worn correctly?"""
    return replace(images, labels=(images.labels > 0).to(torch.int64), class_names=BINARY)
