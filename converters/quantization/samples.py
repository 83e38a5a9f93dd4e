"""Calibration data: a sample of what a user names, a folder of images or a file of arrays, in batches."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph, TensorInfo
from sparsenet.graph.feeds import checked, random_inputs
from sparsenet.io.array_files import read_npy, read_npz
from sparsenet.io.files import is_folder
from sparsenet.io.input_files import IMAGE_SUFFIXES, read_image

#: The word for random numbers instead of data.
RANDOM = "random"
#: Samples of a batch.
_BATCH = 8

Feeds = dict[str, FloatArray]


@dataclass(frozen=True)
class Samples:
    """Inputs of a network, as many as were asked for, or as there are.

    Attributes:
        names: what each sample is: the file of an image, or a number.
        read: one sample by its place, batch 1, by input name.
        random: whether they are mere random numbers.
    """

    names: list[str]
    read: Callable[[int], Feeds]
    random: bool = False

    def batches(self, most: int | None = None) -> Iterator[Feeds]:
        """The samples in order, or the first of them, a few at a time."""
        count = len(self.names) if most is None else min(most, len(self.names))
        for start in range(0, count, _BATCH):
            feeds = [self.read(place) for place in range(start, min(start + _BATCH, count))]
            yield {name: np.concatenate([one[name] for one in feeds]) for name in feeds[0]}


def open_samples(source: Path, graph: Graph, count: int, seed: int) -> Samples:
    """Choose ``count`` samples from ``source`` at random, always the same ones for a seed.

    Args:
        source: a folder of images, of which each is read as ``sparsenet run`` reads one; a .npz file with an array for
            each input; a .npy file for the only one; or the word "random", if there is no such file.
        graph: the network, whose metadata says how its images are normalised.
        count: how many to take; all of them if there are no more.
        seed: of the choice.

    Raises:
        InputError: there is nothing of the kind, or it does not fit the network.
        MemoryLimitError: the arrays would take more than ``limits.memory_limit``.
    """
    rng = np.random.default_rng(seed)
    if str(source) == RANDOM and not source.exists():
        return _random(graph.inputs, count, seed)
    if is_folder(source):
        return _images(source, graph, count, rng)
    suffix = source.suffix.lower()
    if not source.exists():
        raise InputError(f"{source}: no such file or folder")
    if suffix not in (".npy", ".npz"):
        raise InputError(f"{source}: give a folder of images, a .npz or .npy file, or the word {RANDOM}")
    if suffix == ".npz":
        return _arrays(read_npz(source), source, graph.inputs, count, rng)
    if len(graph.inputs) != 1:
        raise InputError(
            f"{source}: the network has {len(graph.inputs)} inputs; give a .npz file with all of them"
        )
    return _arrays({graph.inputs[0].name: read_npy(source)}, source, graph.inputs, count, rng)


def _images(folder: Path, graph: Graph, count: int, rng: np.random.Generator) -> Samples:
    if len(graph.inputs) != 1:
        raise InputError(
            f"{folder}: images feed one input, the network has {len(graph.inputs)}; give a .npz file"
        )
    files = _image_files(folder)
    if not files:
        raise InputError(f"{folder} holds no images ({', '.join(IMAGE_SUFFIXES)})")
    chosen = [files[i] for i in _choice(len(files), count, rng)]
    info, metadata = graph.inputs[0], graph.metadata
    return Samples(
        [str(file) for file in chosen], lambda i: {info.name: read_image(chosen[i], info, metadata)}
    )


def _image_files(folder: Path) -> list[Path]:
    """The images at any depth, sorted, hidden ones left out."""

    def stop(error: OSError) -> None:
        raise InputError(f"{error.filename or folder}: cannot be read: {error.strerror or error}") from None

    found: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(parent, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES
        ]
    return sorted(found)


def _arrays(
    arrays: Mapping[str, FloatArray],
    source: Path,
    infos: list[TensorInfo],
    count: int,
    rng: np.random.Generator,
) -> Samples:
    try:
        checked(infos, arrays, check_finite=True, least_batch=1)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    chosen = _choice(len(next(iter(arrays.values()))), count, rng)
    return Samples(
        [str(i) for i in chosen],
        lambda place: {name: array[chosen[place] : chosen[place] + 1] for name, array in arrays.items()},
    )


def _random(infos: list[TensorInfo], count: int, seed: int) -> Samples:
    return Samples([str(i) for i in range(count)], lambda place: random_inputs(infos, 1, seed + place), True)


def _choice(there: int, count: int, rng: np.random.Generator) -> list[int]:
    return sorted(rng.permutation(there)[:count].tolist())
