"""What pruning costs a detector in average precision and buys in milliseconds: one table, resumable.

Every variant's weights, model file and figures are files of their own in one folder; what is there is not made again.
Latency alone is measured anew each time, all variants in turn: milliseconds of another day compare with nothing.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import nn

import sparsenet
from converters.conversion.sources import trained_source
from converters.writing.torch_module import TorchTarget
from sparsenet.detection import Detections
from sparsenet.detection.detector import detector_of
from sparsenet.errors import DataError, InputError
from sparsenet.graph import Graph
from sparsenet.io import strict_json
from sparsenet.io.files import write_atomically
from sparsenet.text.table import to_json
from training.checkpoint import ModelInfo, load_model, save_model
from training.detection.at_once import AtOnce
from training.detection.distill import TeacherLoss
from training.detection.evaluate import find_faces, torch_detector
from training.detection.scoring import GroundTruth, average_precision
from training.detection.split import photographs, split
from training.detection.sweep_table import Row, counted, weights_of, write_table
from training.detection.sweep_timing import latencies
from training.detection.train import DetectionEpoch, multitask_loss, train_detector
from training.detection.variants import (
    DENSE,
    HEADS,
    OneShot,
    SweepConfig,
    Variant,
    prunable_layers,
    variants_of,
)
from training.detection.widerface import AnnotatedImage
from training.models import FaceDetector
from training.pruning import Masks, find_masks
from training.traces import Traces

T = TypeVar("T")


class Sweep:
    """Makes, evaluates and times the variants of one detector in one folder."""

    def __init__(
        self,
        model: FaceDetector,
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
        if config.finetune or config.one_shot:
            self.tuning, self.testing = split(images, config.share, config.seed)
        self._claim_folder()

    def run(self, rounds: int = 0) -> list[Row]:
        """All rows, those of earlier runs read from their files; with ``rounds`` > 0, latencies of all as well."""
        rows = [self._row(variant) for variant in variants_of(self.config)]
        if rounds > 0:
            self.say(f"timing {len(rows)} variants, {rounds} rounds")
            files = {row.variant: self.model_file(row.variant) for row in rows}
            taken = latencies(self.model_file(DENSE), files, rounds, self.threads)
            rows = [replace(row, latency=taken[row.variant]) for row in rows]
        about = {
            "detector": self.info.model,
            "input": [1, 3, self.info.input_size, self.info.input_size],
            "threads": self.threads,
            "images": len(photographs(self.images)),
            "tested_on": len(photographs(self.testing)),
            "tuned_on": photographs(self.tuning),
            "split_seed": self.config.seed if self.tuning else None,
        }
        write_table(self.folder, about, rows)
        return rows

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
                    "share": self.config.share if self.tuning else None,
                    "seed": self.config.seed,
                    "finetune": asdict(self.config.finetune) if self.config.finetune else None,
                    "samples": self.config.one_shot.samples if self.config.one_shot else None,
                }
            )
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "sweep.json"
        before: dict[str, Any] = _read(path, dict) if path.exists() else own
        if not path.exists():
            write_atomically(path, to_json(own).encode())
        elif before != own:
            other = [name for name, value in own.items() if before.get(name, value) != value]
            raise InputError(
                f"{self.folder} holds figures with other {', '.join(other) or 'settings'}: name another folder by --out"
            )

    def _row(self, variant: Variant) -> Row:
        path = self.folder / f"{variant.name}.json"
        if not variant.file and path.exists() and self.model_file(variant.name).exists():
            return _read(path, Row)
        model = None
        if variant.at_once:
            self.say(
                f"{variant.name}: {'reading' if variant.file else 'quantizing' if variant.int8 else 'pruning'}"
            )
            graph = self._made_at_once(variant)
        else:
            self.say(f"{variant.name}: {'fine-tuning' if variant.finetuned else 'detecting'}")
            model = self._weights(variant)
            graph = self._traces.graph(model, self.info)
        row = self._evaluate(variant, graph, model)
        write_atomically(path, to_json(asdict(row)).encode())
        self.say(f"{variant.name}: AP {' / '.join(f'{v:.3f}' for v in row.test)}")
        return row

    def _weights(self, variant: Variant) -> nn.Module:
        if variant == Variant():
            return self.model
        path = self.folder / f"{variant.name}.safetensors"
        if variant.finetuned and path.exists():
            return load_model(path)[0]
        model, masks = self._pruned(variant)
        if not variant.finetuned:
            return model
        config = self.config.finetune
        assert config is not None
        checkpoint = self.folder / f"{variant.name}.checkpoint"
        result = train_detector(
            model, self.tuning, config, self.info, loss=TeacherLoss(self.model, multitask_loss(config)), hooks=[masks],
            checkpoint=checkpoint, progress=self.progress, on_epoch=self._report(variant),
        )  # fmt: skip
        save_model(path, result.model, self.info)
        checkpoint.unlink(missing_ok=True)
        return result.model

    def _pruned(self, variant: Variant) -> tuple[nn.Module, Masks]:
        """A copy of the detector with a variant's zeros, which the masks hold."""
        model: nn.Module = copy.deepcopy(self.model)
        if variant.spread:
            target = TorchTarget(model, trained_source(self.model, self.info))
            target.write(self._known(replace(variant, finetuned=False)))
            return model, Masks.from_zeros(model)
        assert variant.scope is not None
        prunable = prunable_layers(self.model)
        masks = find_masks(model, "l1", sparsity=variant.sparsity, scope=variant.scope, include=prunable)
        masks.finalize(model)
        return model, masks

    def _report(self, variant: Variant) -> Callable[[DetectionEpoch], None]:
        def report(record: DetectionEpoch) -> None:
            self.say(f"{variant.name}: epoch {record.epoch}, loss {record.loss:.3f}")

        return report

    def _made_at_once(self, variant: Variant) -> Graph:
        """The graph of a variant that needs no training; what it is made of has its file by then."""
        if variant.file:
            return sparsenet.load_graph(variant.file)
        if variant.int8:
            return self._at_once.quantized(self._known(replace(variant, int8=False)))
        chosen = replace(variant, spread="chosen")
        state = self.folder / f"{variant.name}.state"
        return self._at_once.pruned(variant, lambda: self._known(chosen), state)

    def _known(self, variant: Variant) -> Graph:
        return sparsenet.load_graph(self.model_file(variant.name))

    @cached_property
    def _at_once(self) -> AtOnce:
        asked = self.config.one_shot or OneShot()
        shown = list({image.name: image for image in reversed(self.tuning)}.values())[::-1]
        spared = ["first", *(f"{heads}.*" for heads in HEADS)]
        return AtOnce(
            self._traces.graph(self.model, self.info), self.info, shown[: asked.samples], spared, self.threads
        )

    def _evaluate(self, variant: Variant, graph: Graph, model: nn.Module | None) -> Row:
        sparsenet.save(graph, self.model_file(variant.name))
        engine = sparsenet.Engine(graph, self.threads)
        images = self.testing if variant.finetuned or variant.at_once else self.images
        found = find_faces(detector_of(engine), images, self.progress)
        engine.close()
        expected = None
        if model is not None and (variant.name == DENSE or self.config.compare):
            expected = find_faces(torch_detector(model, self.info), images, self.progress)
        testing = photographs(self.testing)
        weights = weights_of(graph if model is None else model)
        (prunable, nnz), (every, total_nnz) = counted(weights, prunable_layers(self.model)), counted(weights)
        return Row(
            variant=variant.name, scope=variant.scope or variant.spread, sparsity=variant.sparsity,
            prunable=prunable, nnz=nnz, weights=every, total_nnz=total_nnz,
            bytes=self.model_file(variant.name).stat().st_size,
            epochs=self.config.finetune.epochs if variant.finetuned and self.config.finetune else 0,
            images=len(testing),
            test=self._precision(found, testing),
            torch=None if expected is None else self._precision(expected, testing),
            all=self._precision(found, list(found)) if images is self.images else None,
            worst=None if expected is None else max(_score_difference(found[n], expected[n]) for n in found),
        )  # fmt: skip

    def _precision(self, found: dict[str, Detections], names: list[str]) -> list[float]:
        detections = {name: (found[name].boxes, found[name].scores) for name in names}
        return list(average_precision(detections, self.truth.restricted(names)))


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
