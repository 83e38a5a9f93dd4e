"""What pruning costs a detector in average precision and buys in milliseconds: one table, resumable.

Every variant's weights, model file and figures are files of their own in one folder; what is there is not made again.
Latency alone is measured anew each time, all variants in turn: milliseconds of another day compare with nothing.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from torch import nn

import sparsenet
from sparsenet.detection import Detections
from sparsenet.detection.detector import detector_of
from sparsenet.errors import DataError, InputError
from sparsenet.io import strict_json
from sparsenet.io.files import write_atomically
from sparsenet.text.table import to_json
from sparsenet.timing import clock_for, interleaved, spread
from training.checkpoint import ModelInfo, load_model, save_model
from training.detection.config import DetectionConfig
from training.detection.distill import TeacherLoss
from training.detection.evaluate import find_faces, torch_detector
from training.detection.loss import MultitaskLoss
from training.detection.scoring import GroundTruth, average_precision
from training.detection.sweep_table import Latency, Row, write_table
from training.detection.train import DetectionEpoch, train_detector
from training.detection.widerface import AnnotatedImage
from training.models import RetinaFace
from training.pruning import find_masks
from training.traces import Traces

T = TypeVar("T")

Scope = Literal["layer", "global"]
SCOPES: tuple[Scope, ...] = ("layer", "global")
DENSE = "dense"


@dataclass(frozen=True)
class SweepConfig:
    """Which variants to make.

    Attributes:
        sparsities: fractions of zeros in the prunable layers (see ``prunable_layers``); 0 is the detector as it is.
        scopes: "layer": the same share in every layer; "global": the smallest weights wherever they are.
        finetune: how to fine-tune every pruned variant as well; None for not at all.
        share: of the images that fine-tuning sees; the others test all variants.
        compare: run pruned variants in PyTorch as well; the dense one is in any case.
        seed: of that split.
    """

    sparsities: tuple[float, ...] = (0.0, 0.5, 0.7, 0.8, 0.9)
    scopes: tuple[Scope, ...] = SCOPES
    finetune: DetectionConfig | None = None
    share: float = 0.5
    compare: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    scope: Scope | None
    sparsity: float
    finetuned: bool

    @property
    def name(self) -> str:
        """Also of its files."""
        if self.sparsity == 0:
            return DENSE
        return f"{self.scope}-{self.sparsity:g}" + ("-finetuned" if self.finetuned else "")


def prunable_layers(model: RetinaFace) -> list[str]:
    """Names of the convolutions that lose weights: all but the first, the depthwise ones and the heads."""
    names = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    return [name for name in names[1:] if "_heads." not in name]


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


class Sweep:
    """Makes, evaluates and times the variants of one detector in one folder."""

    def __init__(
        self,
        model: RetinaFace,
        info: ModelInfo,
        images: Sequence[AnnotatedImage],
        truth: GroundTruth,
        config: SweepConfig,
        folder: Path,
        threads: int | None = None,
        progress: bool = True,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        if not all(0 <= sparsity < 1 for sparsity in config.sparsities):
            raise InputError(f"sparsities must be in [0, 1), got {config.sparsities}")
        self.model, self.info, self.truth, self.config = model.eval(), info, truth, config
        self.images, self.folder, self.threads = list(images), folder, threads
        self.progress, self.say = progress, say
        self._traces = Traces()
        self.tuning: list[AnnotatedImage] = []
        self.testing = self.images
        if config.finetune is not None:
            self.tuning, self.testing = split(images, config.share, config.seed)
        self._claim_folder()

    def run(self, rounds: int = 0) -> list[Row]:
        """All rows, those of earlier runs read from their files; with ``rounds`` > 0, latencies of all as well."""
        rows = [self._row(variant) for variant in self.variants()]
        if rounds > 0:
            self._measure(rows, rounds)
        about = {
            "detector": self.info.model,
            "input": [1, 3, self.info.input_size, self.info.input_size],
            "threads": self.threads,
            "images": len(photographs(self.images)),
            "tested_on": len(photographs(self.testing)),
            "fine_tuned_on": photographs(self.tuning),
            "split_seed": self.config.seed if self.tuning else None,
        }
        write_table(self.folder, about, rows)
        return rows

    def variants(self) -> Iterator[Variant]:
        """Dense first, then by sparsity, scope, and with fine-tuning after without."""
        yield Variant(None, 0.0, False)
        for sparsity in sorted(set(self.config.sparsities) - {0.0}):
            for scope in self.config.scopes:
                yield Variant(scope, sparsity, False)
                if self.config.finetune is not None:
                    yield Variant(scope, sparsity, True)

    def model_file(self, name: str) -> Path:
        """The engine's model file of a variant."""
        return self.folder / f"{name}.engine.safetensors"

    # ---

    def _claim_folder(self) -> None:
        """Say in the folder what its figures belong to, or refuse one that belongs to something else."""
        weights = [float(p.detach().double().sum()) for p in self.model.parameters()]
        own = json.loads(
            to_json(
                {
                    "model": self.info.model,
                    "size": self.info.input_size,
                    "weights": weights,
                    "images": sorted(image.name for image in self.images),
                    "share": self.config.share if self.config.finetune else None,
                    "seed": self.config.seed,
                    "finetune": asdict(self.config.finetune) if self.config.finetune else None,
                }
            )
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "sweep.json"
        if not path.exists():
            write_atomically(path, to_json(own).encode())
        elif _read(path, dict) != own:
            raise InputError(
                f"{self.folder} holds figures of another detector, data or setting: name another folder"
            )

    def _row(self, variant: Variant) -> Row:
        path = self.folder / f"{variant.name}.json"
        if path.exists() and self.model_file(variant.name).exists():
            return _read(path, Row)
        self.say(f"{variant.name}: {'fine-tuning' if variant.finetuned else 'detecting'}")
        row = self._evaluate(variant, self._weights(variant))
        write_atomically(path, to_json(asdict(row)).encode())
        self.say(f"{variant.name}: AP {' / '.join(f'{v:.3f}' for v in row.test)}")
        return row

    def _weights(self, variant: Variant) -> nn.Module:
        if variant.scope is None:
            return self.model
        masks = find_masks(
            self.model,
            "l1",
            sparsity=variant.sparsity,
            scope=variant.scope,
            include=prunable_layers(self.model),
        )
        model: nn.Module = copy.deepcopy(self.model)
        masks.finalize(model)
        if not variant.finetuned:
            return model
        path = self.folder / f"{variant.name}.safetensors"
        if path.exists():
            return load_model(path)[0]
        config = self.config.finetune
        assert config is not None
        multitask = MultitaskLoss(config.size, config.size, config.box_weight, config.landmark_weight)
        checkpoint = self.folder / f"{variant.name}.checkpoint"
        result = train_detector(
            model, self.tuning, config, self.info, loss=TeacherLoss(self.model, multitask), hooks=[masks],
            checkpoint=checkpoint, progress=self.progress, on_epoch=self._report(variant),
        )  # fmt: skip
        save_model(path, result.model, self.info)
        checkpoint.unlink(missing_ok=True)
        return result.model

    def _report(self, variant: Variant) -> Callable[[DetectionEpoch], None]:
        def report(record: DetectionEpoch) -> None:
            self.say(f"{variant.name}: epoch {record.epoch}, loss {record.loss:.3f}")

        return report

    def _evaluate(self, variant: Variant, model: nn.Module) -> Row:
        graph = self._traces.graph(model, self.info)
        sparsenet.save(graph, self.model_file(variant.name))
        engine = sparsenet.Engine(graph, self.threads)
        images = self.testing if variant.finetuned else self.images
        found = find_faces(detector_of(engine), images, self.progress)
        engine.close()
        expected = None
        if variant.name == DENSE or self.config.compare:
            expected = find_faces(torch_detector(model, self.info), images, self.progress)
        testing = photographs(self.testing)
        kept = prunable_layers(self.model)
        weights = [m.weight for n, m in model.named_modules() if n in kept and isinstance(m, nn.Conv2d)]
        every = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d)]
        return Row(
            variant=variant.name, scope=variant.scope, sparsity=variant.sparsity,
            prunable=sum(w.numel() for w in weights), nnz=sum(int(w.count_nonzero()) for w in weights),
            weights=sum(w.numel() for w in every), total_nnz=sum(int(w.count_nonzero()) for w in every),
            bytes=self.model_file(variant.name).stat().st_size,
            epochs=self.config.finetune.epochs if variant.finetuned and self.config.finetune else 0,
            images=len(testing),
            test=self._precision(found, testing),
            torch=None if expected is None else self._precision(expected, testing),
            all=None if variant.finetuned else self._precision(found, list(found)),
            worst=None if expected is None else max(_score_difference(found[n], expected[n]) for n in found),
        )  # fmt: skip

    def _precision(self, found: dict[str, Detections], names: list[str]) -> list[float]:
        detections = {name: (found[name].boxes, found[name].scores) for name in names}
        return list(average_precision(detections, self.truth.restricted(names)))

    def _measure(self, rows: list[Row], rounds: int) -> None:
        self.say(f"timing {len(rows)} variants, {rounds} rounds")
        x = np.random.default_rng(0).standard_normal(
            (1, 3, self.info.input_size, self.info.input_size), np.float32
        )
        baseline = sparsenet.load(self.model_file(DENSE), self.threads, sparse=False)
        engines = {row.variant: sparsenet.load(self.model_file(row.variant), self.threads) for row in rows}
        calls: dict[str, Callable[[], object]] = {"": partial(baseline, x)}
        calls |= {name: partial(engine, x) for name, engine in engines.items()}
        taken = interleaved(calls, rounds, clock_for(baseline.threads))
        for row in rows:
            ms, ratio = spread(1e3 * taken.seconds(row.variant)[0]), taken.ratio("", row.variant)
            row.latency = Latency(
                ms.median, ms.iqr, ratio.told, ratio.interval, taken.clock.counts, ratio.rounds, ratio.dropped
            )
        for engine in (baseline, *engines.values()):
            engine.close()


def _score_difference(a: Detections, b: Detections) -> float:
    """Largest difference of the scores in order; a face that only one side has counts with its whole score."""
    count = max(len(a), len(b))
    padded = [np.pad(found.scores, (0, count - len(found))) for found in (a, b)]
    return float(np.abs(padded[0] - padded[1]).max(initial=0.0))


def _read(path: Path, kind: Callable[..., T]) -> T:
    """What an earlier run noted in the folder; DataError if it is damaged."""
    try:
        return kind(**strict_json.read(path))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}): remove it to have it made again") from None
