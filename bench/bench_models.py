"""pytest-benchmark over whole networks of the zoo: the engine dense and sparse, and PyTorch, one thread each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from converters import from_torch
from sparsenet import Engine
from training.models import build_model
from training.models.registry import default_input_size
from training.pruning import find_masks


@pytest.mark.parametrize("engine_name", ["pytorch", "dense", "sparse"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.8, 0.9])
@pytest.mark.parametrize("name", ["maskcnn", "minixception-128", "minixception-128-256", "mobilenetv1"])
def test_model(benchmark: Any, name: str, sparsity: float, engine_name: str) -> None:
    torch.set_num_threads(1)
    model = build_model(name, 4).eval()
    if sparsity:
        find_masks(model, method="l1", sparsity=sparsity).apply(model)
    size = default_input_size(name)
    x = np.random.default_rng(0).standard_normal((1, 3, size, size)).astype(np.float32)
    benchmark.group = f"{name} at {sparsity:.0%}"
    benchmark.extra_info.update(sparsity=sparsity, threads=1, size=size)
    if engine_name == "pytorch":
        tensor = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with torch.inference_mode():
            benchmark(model, tensor)
        return
    engine = Engine(from_torch(model, (torch.from_numpy(x),)), 1, sparse=engine_name == "sparse")
    engine(x)
    benchmark(engine, x)
