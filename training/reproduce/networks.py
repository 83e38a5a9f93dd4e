"""A trained network becomes a model file, and the engine is judged on exactly that file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

import sparsenet
from sparsenet.graph.counts import count_layers, total
from training.checkpoint import ModelInfo
from training.data.images import LabeledImages
from training.demo.model_files import relative_difference, run
from training.evaluate import metrics, predict
from training.loop.run import EpochRecord
from training.reproduce.results import Result
from training.traces import Traces

#: For all that this process converts: cells that run in one need one trace for each kind of network.
TRACES = Traces()
#: Images on which the engine's answers are compared with PyTorch's.
COMPARED = 16


def judge(model: nn.Module, info: ModelInfo, file: Path, test: LabeledImages) -> Result:
    """Convert ``model`` to ``file`` for its input size, and test the engine that loads it.

    Returns loss (cross-entropy), accuracy, macro_f1, weighted_f1 and recall on ``test``; weights, sparsity and macs of
    the network as the engine runs it, nonzero_macs; bytes of the file; and the largest difference from PyTorch.
    """
    size = info.input_size
    file.parent.mkdir(parents=True, exist_ok=True)
    sparsenet.save(TRACES.graph(model, info), file)
    few = test.subset(range(min(COMPARED, len(test))))
    found, logits = tested(file, test, size)
    return found | {"difference": relative_difference(logits[: len(few)], predict(model, few, size))}


def tested(file: Path, test: LabeledImages, size: int) -> tuple[Result, Tensor]:
    """All that ``judge`` finds but the difference from PyTorch, of any model file; and the engine's logits."""
    logits = run(sparsenet.load(file, threads=1), test, size)
    found = metrics(test.labels, logits.argmax(1), test.class_names)
    sums = total(count_layers(sparsenet.load_graph(file)))
    return {
        "loss": float(F.cross_entropy(logits, test.labels)),
        "accuracy": found.accuracy,
        "macro_f1": found.macro_f1,
        "weighted_f1": found.weighted_f1,
        "recall": list(found.recall),
        "images": len(test),
        "weights": sums.weights,
        "nnz": sums.nnz,
        "macs": sums.macs,
        "nonzero_macs": sums.nonzero_macs,
        "bytes": file.stat().st_size,
    }, logits


def history(records: Iterable[EpochRecord]) -> list[Result]:
    """Epochs as plain values."""
    return [dataclasses.asdict(record) for record in records]
