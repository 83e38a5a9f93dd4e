"""Model files of a trained network, and what the engine makes of each of them on the test images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import sparsenet
from converters import equalize, quantize
from sparsenet.graph import FloatArray, Graph
from training.data.images import LabeledImages, resize, to_float
from training.demo.stages import Trained
from training.evaluate import Metrics, metrics
from training.report.model import INT8, Scores, StoredFile

VALUES = ("f32", "f16", "i8")


@dataclass(frozen=True)
class ModelFiles:
    """Writes the model files of a run, loads each again and judges it.

    Attributes:
        folder: where ``<stage>-<values>.safetensors`` go.
        test: the test images.
        teacher_bytes: what compression is counted against.
    """

    folder: Path
    test: LabeledImages
    teacher_bytes: int

    def store(self, trained: Trained, graph: Graph, logits: Tensor) -> list[StoredFile]:
        """Files of a network, with every kind of values.

        Args:
            trained, graph: the network, and its graph.
            logits: PyTorch's for the test images, (N, classes).
        """
        return [self._stored(trained, graph, logits, values, values) for values in VALUES]

    def store_integers(self, trained: Trained, graph: Graph, logits: Tensor) -> StoredFile:
        """The file of a quantized ``graph``, as ``store`` otherwise."""
        return self._stored(trained, graph, logits, INT8, "f32")

    def path(self, stage: str, values: str) -> Path:
        """Of one file."""
        return self.folder / f"{stage}-{values}.safetensors"

    def _stored(self, trained: Trained, graph: Graph, logits: Tensor, name: str, values: str) -> StoredFile:
        path = self.path(trained.recipe.key, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        sparsenet.save(graph, path, values=values)
        outputs = run(sparsenet.load(path), self.test, trained.info.input_size)
        size = path.stat().st_size
        return StoredFile(
            stage=trained.recipe.key,
            values=name,
            path=str(path),
            bytes=size,
            compression=self.teacher_bytes / size,
            scores=scores(metrics(self.test.labels, outputs.argmax(1), self.test.class_names)),
            max_difference=relative_difference(outputs, logits),
        )


def in_integers(graph: Graph, shown: LabeledImages, size: int, skip: Iterable[str] = ()) -> Graph:
    """A network in 8 bits, its channels equalized, by the ranges that ``shown`` have in it.

    Args:
        graph: in float32.
        shown: images like those to come.
        size: side of the network's input.
        skip: layers that stay float32, see ``converters.quantize``.
    """
    even = equalize(graph, batches(shown, size), threads=1)
    return quantize(even, batches(shown, size), skip=skip, threads=1)


def run(
    engine: Callable[[FloatArray], FloatArray | tuple[FloatArray, ...]], images: LabeledImages, size: int
) -> Tensor:
    """The engine's logits (N, classes) for all images, shown at ``size`` × ``size`` pixels as in training."""
    return torch.from_numpy(np.concatenate([np.asarray(engine(batch)) for batch in batches(images, size)]))


def batches(images: LabeledImages, size: int) -> Iterator[FloatArray]:
    """Network input, float32 (n, 3, size, size), a few images at a time."""
    for part in images.images.split(32):
        yield resize(to_float(part), size).contiguous().numpy()


def relative_difference(outputs: Tensor, expected: Tensor) -> float:
    """Largest absolute difference over the largest magnitude in ``expected``."""
    return float((outputs - expected).abs().max() / expected.abs().max())


def scores(found: Metrics) -> Scores:
    """Metrics as the report holds them."""
    return Scores(
        accuracy=found.accuracy,
        macro_f1=found.macro_f1,
        weighted_f1=found.weighted_f1,
        recall=list(found.recall),
        confusion=[list(row) for row in found.confusion],
    )
