"""Evaluate a classifier: logits for a data set, metrics of predictions, two cascade stages as one classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from sparsenet.checks import shown
from sparsenet.errors import DataError
from training.data.images import LabeledImages, resize, to_float


@dataclass(frozen=True)
class Metrics:
    """Quality of a classifier on one data set; fractions in [0, 1], per-class values in the order of class_names.

    A quantity that would divide by zero is 0: the precision of a class never predicted, the recall and F1 of a
    class without images. The macro F1 is the plain mean over all classes, the weighted F1 the mean by support.
    """

    accuracy: float
    macro_f1: float
    weighted_f1: float
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    support: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]  # [true class][predicted class], images
    class_names: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The fields as plain values, ready for ``json.dumps``."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def metrics(
    labels: ArrayLike | Tensor, predictions: ArrayLike | Tensor, class_names: Sequence[str]
) -> Metrics:
    """Metrics of class numbers ``predictions`` (N,) against ``labels`` (N,).

    DataError if they are empty, differ in length, or name a class that ``class_names`` does not have.
    """
    if isinstance(class_names, str) or not isinstance(class_names, Sequence) or not class_names:
        raise DataError(f"class_names must be a list of names, got {shown(class_names)}")
    if not all(isinstance(name, str) for name in class_names):
        raise DataError("class_names must be a list of names, one of them is no text")
    true, predicted = _class_numbers(labels, "labels"), _class_numbers(predictions, "predictions")
    if len(true) != len(predicted) or len(true) == 0:
        raise DataError(f"metrics need as many predictions as labels, got {len(predicted)} for {len(true)}")
    for what, values in (("labels", true), ("predictions", predicted)):
        _check_range(values, len(class_names), what)
    classes = len(class_names)
    pairs = true.numpy() * classes + predicted.numpy()
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    hits, support, chosen = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    precision, recall, f1 = (_share(hits, n) for n in (chosen, support, (support + chosen) / 2))
    return Metrics(
        accuracy=float(hits.sum() / len(true)),
        macro_f1=float(f1.mean()),
        weighted_f1=float(np.average(f1, weights=support)),
        precision=tuple(precision.tolist()),
        recall=tuple(recall.tolist()),
        f1=tuple(f1.tolist()),
        support=tuple(support.tolist()),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        class_names=tuple(class_names),
    )


def _share(part: NDArray[np.int64], whole: NDArray[Any]) -> NDArray[np.float64]:
    """``part`` of ``whole``, class by class; 0 where that is 0."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def predict(model: nn.Module, images: LabeledImages, size: int, batch_size: int = 32) -> Tensor:
    """Logits (N, classes), float32 on the CPU, of images shown at ``size`` × ``size`` pixels.

    The model runs in evaluation mode where its parameters lie; every module's mode is restored afterwards.
    """
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            logits = [
                model(resize(to_float(batch.to(device)), size)).to("cpu", torch.float32)
                for batch in images.images.split(batch_size)
            ]
    finally:
        for module, training in modes:
            module.training = training
    return torch.cat(logits).clone()  # cloned outside inference mode, so that autograd may use it


def evaluate(model: nn.Module, images: LabeledImages, size: int, batch_size: int = 32) -> Metrics:
    """Metrics of the model's most likely classes on ``images`` at ``size`` × ``size`` pixels."""
    predictions = predict(model, images, size, batch_size).argmax(1)
    return metrics(images.labels, predictions, images.class_names)


def cascade(stage1_predictions: ArrayLike | Tensor, stage2_predictions: ArrayLike | Tensor) -> Tensor:
    """Four classes, int64 (N,), from the two cascade stages, both run on all N images.

    Stage 1 says correct (0) or incorrect (1); where incorrect, stage 2 says how (0 uncovered chin, 1 nose,
    2 nose and mouth), which are classes 1 to 3 of the four. Stage 2 is ignored where stage 1 says correct.
    DataError if lengths differ or a number is out of range.
    """
    stage1 = _class_numbers(stage1_predictions, "stage 1")
    stage2 = _class_numbers(stage2_predictions, "stage 2")
    if len(stage1) != len(stage2):
        raise DataError(f"both cascade stages must see all images, got {len(stage1)} and {len(stage2)}")
    _check_range(stage1, 2, "stage 1")
    _check_range(stage2, 3, "stage 2")
    return torch.where(stage1 == 0, 0, stage2 + 1)


def _class_numbers(values: ArrayLike | Tensor, what: str) -> Tensor:
    try:
        numbers = torch.as_tensor(values).detach().cpu()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise DataError(f"{what}: expected class numbers (N,), got {shown(values)}") from None
    if numbers.ndim != 1 or (numbers.numel() and (numbers.is_floating_point() or numbers.is_complex())):
        raise DataError(f"{what}: expected class numbers (N,), got {numbers.dtype} {tuple(numbers.shape)}")
    return numbers.to(torch.int64)


def _check_range(values: Tensor, classes: int, what: str) -> None:
    if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < classes:
        raise DataError(
            f"{what}: class numbers must be 0 to {classes - 1}, got {int(values.min())} to {int(values.max())}"
        )


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
