"""``sparsenet profile``: where the time goes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsenet.commands.options import (
    dense_option,
    device_option,
    json_option,
    model_argument,
    threads_option,
)
from sparsenet.graph.feeds import random_inputs
from sparsenet.text.quantities import time_text
from sparsenet.text.table import to_json
from sparsenet.timing import DEVICE, clock_for, few, interleaved, spread

if TYPE_CHECKING:
    from sparsenet.engine import Engine
    from sparsenet.engine_options import Device
    from sparsenet.graph import FloatArray
    from sparsenet.timing.layer_profile import Profile

EPILOG = """\b
Examples:
  sparsenet profile model.safetensors --threads 1
  sparsenet profile model.safetensors --dense --runs 50 --json"""


@click.command(epilog=EPILOG)
@model_argument
@threads_option
@device_option
@click.option(
    "--runs", type=click.IntRange(1), default=20, show_default=True, help="Runs to take medians of."
)
@dense_option
@json_option
def profile(model: Path, threads: int | None, device: Device, runs: int, dense: bool, as_json: bool) -> None:
    """Time each layer of MODEL on one input of random numbers.

    MODEL is a model file or the folder of a compiled bundle. Start-up is reported apart: imports, reading the file,
    planning, compiling kernels (or loading their machine code) and the first inference. Layers add up to an inference
    whose steps are timed one by one, which takes a little longer than a steady one. Density is the fraction of weights
    that are not zero; Gop/s counts operations with those alone, in float32 or, of layers in int8, in integers. Runs
    that other work disturbed are dropped and counted.
    """
    import sparsenet

    engine = sparsenet.load(model, threads=threads, sparse=not dense, device=device)
    result, layers = measure(engine, random_inputs(engine.inputs, 1, 0), runs)
    click.echo(to_json(result) if as_json else _text(result, layers))


def measure(engine: Engine, feeds: dict[str, FloatArray], runs: int) -> tuple[dict[str, Any], Profile]:
    """Start-up times, steady time and time per layer, all in milliseconds, as plain values; the layers as records."""
    arrays = [feeds[tensor.name] for tensor in engine.inputs]
    engine.warmup()
    clock = clock_for(engine.threads) if engine.device == "cpu" else DEVICE
    taken = interleaved({"steady": lambda: engine(*arrays)}, runs, clock)
    counted, dropped = taken.count("steady")
    layers = engine.profile(*arrays, runs=runs)
    timings = dataclasses.asdict(engine.timings) | {"steady": spread(taken.seconds("steady")[0]).median}
    result = {
        "threads": engine.threads,
        "runs": runs,
        "clock": clock.counts,
        "counted": counted,
        "dropped": dropped,
        "too_noisy": few(counted, dropped),
        "ms": {name: seconds * 1e3 for name, seconds in timings.items()},
        "layers_counted": layers.counted,
        "layers_dropped": layers.dropped,
        "layers_too_noisy": layers.too_noisy,
        "layers": [dataclasses.asdict(layer) for layer in layers],
    }
    return result, layers


def _text(result: dict[str, Any], layers: Profile) -> str:
    times = ", ".join(f"{name} {time_text(ms / 1e3)}" for name, ms in result["ms"].items())
    return "\n".join(
        [
            str(layers),
            "",
            f"sum of layers {time_text(sum(layer.ms for layer in layers) / 1e3)}",
            f"{times} (threads: {result['threads']})",
            _counted("steady", result, ""),
            _counted("layers", result, "layers_"),
        ]
    )


def _counted(what: str, result: dict[str, Any], prefix: str) -> str:
    time = "processor time" if result["clock"] == "cpu" else "wall time"
    counted, dropped = result[f"{prefix}counted"], result[f"{prefix}dropped"]
    if not result[f"{prefix}too_noisy"]:
        return f"{what}: median {time} of {counted} runs, {dropped} disturbed ones dropped"
    runs = f"the only {counted} undisturbed" if counted else "all"
    return f"{what}: too noisy to tell; median {time} of {runs} of {counted + dropped} runs"
