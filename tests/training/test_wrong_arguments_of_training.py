"""Settings and functions of training with wrong arguments, one at a time: one line of a typed error."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.wrong_values import Argument, holds, table
from training.checkpoint import ModelInfo, load_checkpoint, load_model, save_checkpoint, save_model
from training.demo.settings import DemoSettings
from training.detection.config import DetectionConfig
from training.distill import Distillation, distillation_loss, soft_targets
from training.evaluate import cascade, metrics
from training.loop.config import TrainConfig
from training.models import build_detector, build_model
from training.models.registry import default_input_size
from training.pruning import Masks, find_masks
from training.pruning.controls import shuffle
from training.pruning.gradual import GradualPruner
from training.pruning.lottery_ticket import LotterySettings, by_rate
from training.pruning.rewind import Rewind
from training.pruning.schedule import PolynomialSchedule

LOGITS, LABELS = torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)
INFO = ModelInfo("maskcnn", ("a", "b"), 16)
NO_FILE = Path("/proc/none/x")

FRACTION, POSITIVE, SIZE, COUNT = "0, 0.5, 1", "0.5, 1, 10**30", "1", "0, 1"
#: What a field takes, by the names that settings share.
FIELDS = {
    PolynomialSchedule: {
        "initial": "0, 0.5", "final": "0.5, 1", "begin_step": COUNT, "end_step": COUNT, "power": POSITIVE,
        "every": SIZE,
    },
    TrainConfig: {
        "stages": "", "batch_size": "", "lr": POSITIVE, "weight_decay": f"0, {POSITIVE}", "warmup_steps": COUNT,
        "label_smoothing": FRACTION, "balance": FRACTION, "ema": FRACTION, "clip_norm": POSITIVE, "precision": "",
        "patience": "None, 1", "seed": "-1, 0, 1", "augment": "dict",
    },
    DetectionConfig: {
        "epochs": SIZE, "batch_size": SIZE, "optimizer": "", "lr": POSITIVE, "decay_at": "empty list",
        "momentum": f"0, {POSITIVE}", "weight_decay": f"0, {POSITIVE}", "size": "", "scales": "",
        "box_weight": f"0, {POSITIVE}", "landmark_weight": f"0, {POSITIVE}", "clip_norm": f"None, {POSITIVE}",
        "workers": COUNT,
    },
    LotterySettings: {
        "sparsities": "", "rewind": "", "controls": "empty list", "scope": "", "include": "empty list, list of text",
        "exclude": "empty list, list of text", "block": "None",
        "min_density": FRACTION, "seed": COUNT,
    },
    Rewind: {"to": "", "step": "0"},
    DemoSettings: {
        "teacher": "", "student": "", "sparsity": "0.5", "threads": SIZE, "images": "", "temperature": POSITIVE,
        "alpha": FRACTION, "seconds": POSITIVE, "precision": "", "values": "", "on_error": "", "curve": "empty list",
        "block": "None", "mask_every": "None, 1",
    },
    Distillation: {"teachers": "", "temperature": POSITIVE, "alpha": FRACTION},
}  # fmt: skip
NEEDED: dict[type, dict[str, Any]] = {
    LotterySettings: {"sparsities": (0.5,)},
    DemoSettings: {"out": NO_FILE},
    Distillation: {"teachers": [(nn.Linear(1, 1), 16)]},
}


def field(kind: type, name: str, takes: str) -> Argument:
    return Argument(lambda value: kind(**{**NEEDED.get(kind, {}), name: value}), takes)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3))


ARGUMENTS = {
    **{f"{k.__name__}.{n}": field(k, n, takes) for k, all_ in FIELDS.items() for n, takes in all_.items()},
    "by_rate.levels": Argument(by_rate, "1"),
    "by_rate.rate": Argument(lambda v: by_rate(2, v), "0.5"),
    "build_model.name": Argument(lambda v: build_model(v, 2)),
    "build_model.num_classes": Argument(lambda v: build_model("maskcnn", v), "1"),
    "build_model.seed": Argument(lambda v: build_model("maskcnn", 2, v), "-1, 0, 1"),
    "build_detector.name": Argument(build_detector),
    "default_input_size.name": Argument(default_input_size),
    "soft_targets.logits": Argument(lambda v: soft_targets(v, 2.0)),
    "soft_targets.temperature": Argument(lambda v: soft_targets([LOGITS], v), POSITIVE),
    "distillation_loss.student": Argument(lambda v: distillation_loss(v, LOGITS, LABELS)),
    "distillation_loss.targets": Argument(lambda v: distillation_loss(LOGITS, v, LABELS)),
    "distillation_loss.labels": Argument(lambda v: distillation_loss(LOGITS, LOGITS, v)),
    "distillation_loss.alpha": Argument(lambda v: distillation_loss(LOGITS, LOGITS, LABELS, 1.0, v), FRACTION),
    "GradualPruner.model": Argument(lambda v: GradualPruner(v, PolynomialSchedule())),
    "GradualPruner.schedule": Argument(lambda v: GradualPruner(network(), v)),
    "GradualPruner.method": Argument(lambda v: GradualPruner(network(), PolynomialSchedule(), v)),
    "Masks.intersect.other": Argument(lambda v: find_masks(network(), sparsity=0.5).intersect(v)),
    "Masks.finalize.model": Argument(lambda v: find_masks(network(), sparsity=0.5).finalize(v)),
    "Masks.from_zeros.model": Argument(Masks.from_zeros),
    "shuffle.masks": Argument(shuffle),
    "shuffle.seed": Argument(lambda v: shuffle(find_masks(network(), sparsity=0.5), v), "-1, 0, 1"),
    **{
        f"find_masks.{name}": Argument(lambda v, name=name: find_masks(network(), **{"sparsity": 0.5, name: v}), takes)
        for name, takes in {
            "include": "None, empty list", "exclude": "None, empty list", "whole": "None, empty list",
            "min_density": FRACTION, "on_empty": "", "structured": "None", "within": "None", "prune_affine": "True",
            "shuffle": "True", "mode": "None", "progress": "True",
        }.items()
    },
    "load_model.path": Argument(load_model),
    "load_checkpoint.path": Argument(load_checkpoint),
    "save_model.model": Argument(lambda v: save_model(NO_FILE, v, INFO)),
    "save_model.info": Argument(lambda v: save_model(NO_FILE, network(), v)),
    "metrics.labels": Argument(lambda v: metrics(v, LABELS, ("a", "b"))),
    "metrics.class_names": Argument(lambda v: metrics(torch.tensor([0, 1]), LABELS, v)),
    "cascade.stage1": Argument(lambda v: cascade(v, LABELS)),
}  # fmt: skip
# These write where they may: only what is no path is wrong.
for writer, call in (
    ("save_model.path", lambda v: save_model(v, network(), INFO)),
    ("save_checkpoint.path", lambda v: save_checkpoint(v, {})),
):
    ARGUMENTS[writer] = Argument(lambda v, call=call: call(NO_FILE if isinstance(v, str) else v))


@table(ARGUMENTS)
def test_one_wrong_argument(argument: Argument) -> None:
    assert not holds(argument)


def test_every_setting_is_in_the_table() -> None:
    free = {
        "schedules",
        "out",
        "data",
        "weights",
        "progress",
        "prune_first",
        "seed",
        "freeze",
        "colour",
        "freeze_statistics",
    }
    for kind, named in FIELDS.items():
        assert {each.name for each in dataclasses.fields(kind)} - named.keys() <= free, kind
