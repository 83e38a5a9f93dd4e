"""The report as plain numbers: what ``report.json`` holds and everything else is drawn from.

Shares (accuracy, F1, recall, sparsity) lie in [0, 1]; times are milliseconds unless the name says seconds.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparsenet.errors import DataError
from sparsenet.io import strict_json
from sparsenet.text.table import to_json
from training.report.files import write_text

FORMAT_VERSION = 1
#: ``StoredFile.values`` of a network that is computed in integers, not only stored so.
INT8 = "int8"


@dataclass(frozen=True)
class Scores:
    """Quality on a test set: ``recall`` per class, ``confusion[true][predicted]`` in images."""

    accuracy: float
    macro_f1: float
    weighted_f1: float
    recall: list[float]
    confusion: list[list[int]]

    @property
    def images(self) -> int:
        """How many images were judged."""
        return sum(map(sum, self.confusion))


@dataclass(frozen=True)
class Epoch:
    """One epoch of training at an input size; ``sparsity`` is the schedule's at its end, 0 without pruning.

    ``accuracy`` and ``macro_f1`` are of images that were not trained on.
    """

    epoch: int
    size: int
    train_loss: float
    sparsity: float = 0.0
    accuracy: float | None = None
    macro_f1: float | None = None


@dataclass(frozen=True)
class Stage:
    """One trained network: the teacher, or a student at one point of the story.

    ``size`` is the side of its square input in pixels; ``scores`` are PyTorch's. ``reused`` says where weights that
    were not, or not wholly, trained in this run came from.
    """

    key: str
    title: str
    model: str
    size: int
    parameters: int
    sparsity: float
    scores: Scores
    epochs: list[Epoch]
    seconds: float
    weights: str
    reused: str | None = None


@dataclass(frozen=True)
class StoredFile:
    """A model file and what the engine makes of it: ``scores`` come from running exactly this file.

    ``compression`` is the teacher's fp32 weight bytes ÷ ``bytes``; ``max_difference`` the largest difference of
    a logit between engine and PyTorch float32 over the test set, divided by PyTorch's largest logit.
    """

    stage: str
    values: str
    path: str
    bytes: int
    compression: float
    scores: Scores
    max_difference: float


@dataclass(frozen=True)
class Latency:
    """One engine running one network: median and quartiles of ``rounds`` calls on one image, in milliseconds."""

    stage: str
    engine: str
    setting: str
    rounds: int
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Speedup:
    """How many times faster ``fast`` is than ``slow``: median of the ratios of equal rounds, and its 95 % interval.

    ``rounds`` count, ``dropped`` ones were disturbed; ``noisy`` where the machine was too noisy to tell: then it
    is ``at_least`` so many times faster, if anything can be said.
    """

    stage: str
    slow: str
    fast: str
    median: float
    low: float
    high: float
    rounds: int = 0
    dropped: int = 0
    noisy: bool = False
    at_least: float | None = None

    @property
    def told(self) -> float | None:
        """The ratio, or what it is at least; None where nothing can be told."""
        return self.at_least if self.noisy else self.median


@dataclass(frozen=True)
class Speed:
    """Latency of every engine on one image, measured in turn in one process: processor time where ``threads`` is 1.

    ``max_difference`` is the largest between engine and PyTorch on that image, of the network's largest logit.
    """

    threads: int
    latencies: list[Latency]
    speedups: list[Speedup]
    max_difference: float

    def latency(self, stage: str, engine: str) -> Latency | None:
        """The measurement of one pair, if there is one."""
        return next((m for m in self.latencies if (m.stage, m.engine) == (stage, engine)), None)

    def speedup(self, stage: str, slow: str, fast: str) -> Speedup | None:
        """The measured ratio of one pair, if there is one."""
        return next((s for s in self.speedups if (s.stage, s.slow, s.fast) == (stage, slow, fast)), None)


@dataclass(frozen=True)
class Startup:
    """A fresh process of one engine: seconds of importing, of loading and of the first answer; peak memory in bytes."""

    engine: str
    importing: float
    loading: float
    first: float
    memory: int


@dataclass(frozen=True)
class AccuracyPoint:
    """The student pruned once to ``sparsity`` (L1, per layer) without any training after it."""

    sparsity: float
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class LatencyPoint:
    """The student at one sparsity: ``latencies`` of every engine and the sparse engine's speedups."""

    sparsity: float
    latencies: list[Latency]
    speedups: list[Speedup]


@dataclass(frozen=True)
class Example:
    """One test image (JPEG, base64) with the truth and what the engine said."""

    image: str
    label: int
    predicted: int
    probability: float


@dataclass(frozen=True)
class Data:
    """What was trained and tested on: images per class (``counts[split][class]``)."""

    name: str
    source: str
    size: int
    classes: list[str]
    counts: dict[str, list[int]]


@dataclass(frozen=True)
class Report:
    """A whole run.

    ``settings`` and ``environment`` are name → value as shown, ``phases`` name → seconds. ``examples`` are drawn at
    random from the test set, ``mistakes`` are the most confident ones; ``table_values`` names the stored values of
    the files in the main table.
    """

    command: str
    created: str
    settings: dict[str, str]
    environment: dict[str, str]
    data: Data
    teacher_bytes: int
    student: str
    stages: list[Stage]
    files: list[StoredFile]
    table_values: str
    speed: Speed
    startup: list[Startup]
    accuracy_curve: list[AccuracyPoint]
    latency_curve: list[LatencyPoint]
    examples: list[Example]
    mistakes: list[Example]
    phases: dict[str, float]
    format_version: int = field(default=FORMAT_VERSION)

    def stage(self, key: str) -> Stage:
        """The stage of that name; KeyError if the run had none."""
        return {stage.key: stage for stage in self.stages}[key]

    @property
    def rows(self) -> list[tuple[Stage, StoredFile | None]]:
        """What the main table shows: every stage with its file of ``table_values``, then those in integers."""
        files = ((stage, self.file(stage.key, INT8)) for stage in self.stages)
        main = [(stage, self.file(stage.key, self.table_values)) for stage in self.stages]
        return main + [(stage, file) for stage, file in files if file]

    def file(self, stage: str, values: str) -> StoredFile | None:
        """The file of a stage with these value encodings, if it was written."""
        return next((f for f in self.files if (f.stage, f.values) == (stage, values)), None)

    @property
    def max_difference(self) -> float:
        """Largest of any f32 file: the engine against PyTorch, over all students and the test set."""
        return max(
            (f.max_difference for f in self.files if f.values == "f32"), default=self.speed.max_difference
        )


def save_report(report: Report, path: Path) -> None:
    """Write ``report.json``; it appears under ``path`` only when it is complete."""
    write_text(path, to_json(dataclasses.asdict(report)) + "\n")


def load_report(path: Path) -> Report:
    """Read what :func:`save_report` wrote.

    Raises:
        DataError: the file is missing, no report, or of another version.
    """
    try:
        content = strict_json.read(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable report ({error})") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if version != FORMAT_VERSION:
        raise DataError(f"{path}: report version {version!r}; this program reads {FORMAT_VERSION}")
    try:
        report: Report = _build(Report, content)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a complete report ({type(error).__name__}: {error})") from error
    return report


def _build(kind: Any, value: Any) -> Any:
    """``value`` (from JSON) as an instance of the annotated type ``kind``."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _build(hints[name], item) for name, item in value.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return [_build(arguments[0], item) for item in value]
    if origin is dict:
        return {key: _build(arguments[1], item) for key, item in value.items()}
    if origin is types.UnionType:
        return None if value is None else _build(arguments[0], value)
    if kind is float and value is None:  # JSON has no NaN
        return math.nan
    return kind(value)
