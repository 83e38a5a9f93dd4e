"""Model files of a trained network, and what the engine makes of each of them on the test images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import sparsenet
from sparsenet.graph import FloatArray, Graph
from training.data.images import LabeledImages, resize, to_float
from training.demo.stages import Trained
from training.evaluate import Metrics, metrics
from training.report.model import Scores, StoredFile

VALUES = ("f32", "f16", "i8")


def store(
    trained: Trained, graph: Graph, folder: Path, test: LabeledImages, logits: Tensor, teacher_bytes: int
) -> list[StoredFile]:
    """Write a network with every kind of values; load each file again and judge it.

    Args:
        trained, graph: the network, and its graph.
        folder: where ``<stage>-<values>.safetensors`` go.
        test: the test images.
        logits: PyTorch's for them, (N, classes).
        teacher_bytes: what compression is counted against.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for values in VALUES:
        path = folder / f"{trained.recipe.key}-{values}.safetensors"
        sparsenet.save(graph, path, values=values)
        outputs = run(sparsenet.load(path), test, trained.info.input_size)
        size = path.stat().st_size
        files.append(
            StoredFile(
                stage=trained.recipe.key,
                values=values,
                path=str(path),
                bytes=size,
                compression=teacher_bytes / size,
                scores=scores(metrics(test.labels, outputs.argmax(1), test.class_names)),
                max_difference=relative_difference(outputs, logits),
            )
        )
    return files


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
