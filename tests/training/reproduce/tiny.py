"""The smallest settings that still make everything."""

from __future__ import annotations

import dataclasses
from typing import Any

from training.reproduce.settings import (
    ComparisonSettings,
    Int8Settings,
    MaskCNNSettings,
    Settings,
    SnipSettings,
    StudentSettings,
    TradeoffSettings,
)

TINY = Settings(
    images=32,
    seconds=0.02,
    maskcnn=MaskCNNSettings(epochs=1, batch_size=4, train_images=4, test_images=4, ratios=(0.0, 0.5)),
    students=StudentSettings(
        teacher="minixception-128",
        students=("minixception-128",),
        teacher_stages=((32, 1),),
        student_stages=((32, 1),),
        prune_stages=((32, 1),),
        batch_size=8,
    ),
    snip=SnipSettings(size=320, images=2, epochs=1, batch_size=1),
    comparison=ComparisonSettings(
        size=32, epochs=1, fine_tune_epochs=1, batch_size=8, sparsities=(0.8,), levels=(0.5, 0.8), seeds=(0,),
        snip_batch=8,
    ),
    int8=Int8Settings(patterns=("1x4",), sparsities=(0.8,), samples=8),
    tradeoff=TradeoffSettings(
        ComparisonSettings(
            model="minixception-128-256", size=32, epochs=1, fine_tune_epochs=1, batch_size=8, methods=("gradual",),
            sparsities=(0.9,), levels=(0.9,), seeds=(0,),
        ),
        multipliers=(0.125,), speedups=(3.0,), narrow=0.125, narrow_speedups=(1.5,), samples=8,
    ),
)  # fmt: skip


def tiny(*sections: str, **changes: Any) -> Settings:
    """These sections alone."""
    return dataclasses.replace(TINY, sections=sections, **changes)
