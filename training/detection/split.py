"""Annotated images as photographs: how many there are, and which of them one half sees and the other is tested on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsenet.errors import DataError
from training.detection.widerface import AnnotatedImage


def photographs(images: Sequence[AnnotatedImage]) -> list[str]:
    """Names of what the images show; a photograph that is there in several files is named once."""
    return list(dict.fromkeys(image.name for image in images))


def split(
    images: Sequence[AnnotatedImage], share: float, seed: int
) -> tuple[list[AnnotatedImage], list[AnnotatedImage]]:
    """A random ``share`` of the photographs and the rest, each in the order of the names.

    A data set may hold a photograph in several files, stretched and as it was: all of them fall on the same side.
    """
    names = sorted({image.name for image in images})
    if len(names) < 2:
        raise DataError(f"cannot split {len(names)} image into one part to fine-tune on and one to test on")
    shuffled = np.random.default_rng(seed).permutation(len(names))
    chosen = {names[i] for i in shuffled[: min(max(1, round(share * len(names))), len(names) - 1)]}
    ordered = sorted(images, key=lambda image: image.name)
    return [i for i in ordered if i.name in chosen], [i for i in ordered if i.name not in chosen]
