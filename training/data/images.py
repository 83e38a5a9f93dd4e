"""``LabeledImages``: a data set decoded once and held in memory as bytes; bytes to network input."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from sparsenet.errors import DataError
from training.data.decode import decode_image, to_pixels
from training.data.files import BadFiles

# (x - mean) / std on pixels in [0, 1], per RGB channel: what `to_float` does, for files that must record it.
NORMALISATION = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}

_CHUNK = 128  # images resized at once: bounds the float copy to 100 MB at 256²


class ImageDataset(Protocol):
    """Anything with a length whose items are (Pillow image, class number)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Image.Image, int]: ...


@dataclass(frozen=True, eq=False)
class LabeledImages:
    """Square RGB images with one class each, all in memory: N·3·S² bytes (200 MB for 1,000 images of 256²).

    Attributes:
        images: uint8 (N, 3, S, S), RGB.
        labels: int64 (N,), numbers into ``class_names``.
        class_names: one name per class.
        files: where each image came from, relative to the data folder, for reports.
        skipped: how many files were left out because they could not be used.
    """

    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    files: tuple[str, ...]
    skipped: int = 0

    def __post_init__(self) -> None:
        shape = tuple(self.images.shape)
        if self.images.dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3]:
            raise DataError(f"images must be uint8 (N, 3, S, S), got {self.images.dtype} {shape}")
        if self.labels.dtype != torch.int64 or tuple(self.labels.shape) != shape[:1]:
            raise DataError(
                f"labels must be int64 ({shape[0]},), got {self.labels.dtype} {tuple(self.labels.shape)}"
            )
        if len(self.files) != shape[0]:
            raise DataError(f"{shape[0]} images but {len(self.files)} file names")
        if shape[0] and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.class_names):
            raise DataError(
                f"labels run from {int(self.labels.min())} to {int(self.labels.max())}, "
                f"but there are {len(self.class_names)} classes"
            )

    def __len__(self) -> int:
        return len(self.files)

    @property
    def size(self) -> int:
        """Height and width of the images, in pixels."""
        return int(self.images.shape[-1])

    def counts(self) -> dict[str, int]:
        """Images per class, in class order, zeros included."""
        counts = torch.bincount(self.labels, minlength=len(self.class_names)).tolist()
        return dict(zip(self.class_names, counts, strict=True))

    def subset(self, indices: Sequence[int] | Tensor) -> LabeledImages:
        """The images at ``indices``, in that order."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        files = tuple(self.files[i] for i in chosen.tolist())
        return replace(self, images=self.images[chosen], labels=self.labels[chosen], files=files)

    def resized(self, size: int) -> LabeledImages:
        """The same images at ``size`` × ``size`` pixels, antialiased."""
        if size == self.size:
            return self
        images = torch.empty(len(self), 3, size, size, dtype=torch.uint8)
        for start in range(0, len(self), _CHUNK):
            chunk = self.images[start : start + _CHUNK].to(torch.float32)
            images[start : start + _CHUNK] = resize(chunk, size).round_().clamp_(0, 255).to(torch.uint8)
        return replace(self, images=images)

    @classmethod
    def from_dataset(
        cls,
        dataset: ImageDataset,
        class_names: Sequence[str],
        progress: bool = True,
        size: int | None = None,
    ) -> LabeledImages:
        """Every item of a map-style data set, at ``size`` pixels (default: the width of its first image)."""
        if len(dataset) == 0:
            raise DataError("the data set is empty: it must hold at least one image")
        images: Tensor | None = None
        labels: list[int] = []
        for index in _bar(range(len(dataset)), len(dataset), "images", progress):
            image, label = dataset[index]
            if images is None:
                size = size or image.width
                images = torch.empty(len(dataset), 3, size, size, dtype=torch.uint8)
            images[index] = torch.from_numpy(to_pixels(image, images.shape[-1]))
            labels.append(int(label))
        assert images is not None
        names = tuple(f"{index:05d}" for index in range(len(labels)))
        return cls(images, torch.tensor(labels, dtype=torch.int64), tuple(class_names), names)

    @classmethod
    def from_files(
        cls,
        folder: Path,
        labeled: Sequence[tuple[str, int]],
        class_names: Sequence[str],
        size: int,
        bad: BadFiles,
        progress: bool = True,
    ) -> LabeledImages:
        """Decode ``labeled`` (path relative to ``folder``, class number) at ``size`` pixels.

        Files that cannot be decoded go to ``bad``, which raises or counts. DataError if none is left.
        """
        images = torch.empty(len(labeled), 3, size, size, dtype=torch.uint8)
        kept = []
        files = [file for file, _ in labeled]
        decoded = _decode_all([folder / file for file in files], size)
        for index, pixels in enumerate(_bar(decoded, len(files), folder.name, progress)):
            if isinstance(pixels, DataError):
                bad.add(folder / files[index], str(pixels))
            else:
                images[index] = torch.from_numpy(pixels)
                kept.append(index)
        if not kept:
            why = f"; {bad.count} files cannot be used, the first is {bad.first}" if bad.count else ""
            raise DataError(f"{folder}: no images for this split and task{why}")
        if len(kept) < len(files):
            images = images[kept]
        labels = torch.tensor([labeled[index][1] for index in kept], dtype=torch.int64)
        return cls(images, labels, tuple(class_names), tuple(files[index] for index in kept), bad.count)


def drawn_at_random(images: LabeledImages, count: int, seed: int) -> LabeledImages:
    """At most ``count`` of the images, as the seed says."""
    if count >= len(images):
        return images
    return images.subset(torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:count])


def to_float(images: Tensor) -> Tensor:
    """Bytes to network input: uint8 in [0, 255] → float32 in [-1, 1], the NORMALISATION of RGB in [0, 1]."""
    return images.to(torch.float32).div_(127.5).sub_(1.0)


def resize(images: Tensor, size: int) -> Tensor:
    """Float images (N, 3, H, W) to (N, 3, size, size), antialiased bilinear; unchanged if already that size."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def _decode_all(paths: Sequence[Path], size: int) -> Iterator[NDArray[np.uint8] | DataError]:
    """Pixels or the reason there are none, in order, decoded by a few threads (Pillow releases the GIL).

    Works through blocks of files, so that neither the results nor, after an error, the work run far ahead.
    """

    def attempt(path: Path) -> NDArray[np.uint8] | DataError:
        try:
            return decode_image(path, size)
        except DataError as error:
            return error

    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as threads:
        for start in range(0, len(paths), _CHUNK):
            yield from threads.map(attempt, paths[start : start + _CHUNK])


def _bar(items: Iterable[Any], total: int, description: str, progress: bool) -> Iterable[Any]:
    """``items`` with a progress bar, drawn on terminals only."""
    return tqdm(
        items, total=total, desc=description, unit="image", leave=False, disable=None if progress else True
    )
