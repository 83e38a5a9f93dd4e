"""What holds the sparse kernels back: one 1x1 convolution with its memory traffic taken away, part by part.

python -m bench.limits

The arithmetic never changes; only where pixels are read and written does. With ``outputs in L1`` all output channels
go to one line of pixels, with ``inputs in L1`` all columns read sixteen channels: both stay in the first-level cache.
Loads bound the rest: a core starts two vector loads per cycle, as many as multiply-adds, and a weight's broadcast and
the offset of its column are loads too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click
import numpy as np

from bench.kernels.one_conv import Convolution
from bench.kernels.one_kernel import OneKernel, aligned
from bench.kernels.peak import Peak
from bench.measure.command import BenchCommand
from sparsenet.targets.cpu.patterns import step_kinds
from sparsenet.targets.cpu.runtime.jit import max_lanes
from sparsenet.targets.registry import Kernel
from sparsenet.text.table import render
from sparsenet.timing import interleaved

CHANNELS, HEIGHT, WIDTH = 128, 8, 64
NEAR_CHANNELS = 16
OUTPUTS, VECTORS = 4, 4
FILL_BYTES = 512 * 1024


def convolution(density: float, near_inputs: bool, near_outputs: bool) -> tuple[OneKernel, float, float]:
    """The call, its operations on nonzeros, and vector loads per multiply-add."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((CHANNELS, HEIGHT, WIDTH)).astype(np.float32)
    weight = rng.standard_normal((CHANNELS, CHANNELS, 1, 1)).astype(np.float32)
    weight[rng.random(weight.shape) >= density] = 0
    conv = Convolution(x, weight, np.zeros(CHANNELS, np.float32), max_lanes())
    if near_inputs:
        offsets = conv.offsets()
        conv.offsets = lambda: offsets % (NEAR_CHANNELS * conv.source.channel_bytes)  # type: ignore[method-assign]
    packed = conv.pattern(OUTPUTS)
    kernel = Kernel("f32_conv_pattern_rows", max_lanes(), (OUTPUTS, 1, VECTORS))
    call = conv.call(kernel, packed, {"out_channel": 0} if near_outputs else {})
    counts = np.asarray(packed["counts"]).sum(axis=(0, 1))
    kinds = step_kinds(OUTPUTS)
    loads = sum(
        int(count) * (len(kind) * VECTORS + OUTPUTS + -(-len(kind) // 2))
        for count, kind in zip(counts, kinds, strict=True)
    )
    nonzeros = int(np.count_nonzero(weight))
    return call, 2.0 * nonzeros * HEIGHT * WIDTH, loads / (nonzeros * VECTORS)


def least_seconds(calls: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Processor time of every call, in turn; each is made twice and the second counts, when the caches are its own."""
    taken = interleaved(calls, rounds, settle=0.0)
    return {name: float(taken.seconds(name)[0].min()) for name in calls}


@click.command(cls=BenchCommand, epilog="Example: taskset -c 0 python -m bench.limits")
@click.option("--rounds", type=click.IntRange(3), default=400, show_default=True)
def main(rounds: int) -> None:
    """GFLOP/s on nonzeros of a 128-channel 1x1 convolution, with and without its memory traffic."""
    peak = Peak(max_lanes())
    target = aligned((FILL_BYTES // 4,))
    fill = OneKernel(
        Kernel("f32_fill_none_any", max_lanes()), {"value": 1.0, "size": target.size, "out": target}
    )
    table = []
    for density in (0.2, 0.1, 0.05):
        calls: dict[str, Callable[[], None]] = {"peak": peak.fma, "fill": fill}
        operations = loads = 0.0
        for inputs in (False, True):
            for outputs in (False, True):
                calls[f"{inputs} {outputs}"], operations, loads = convolution(density, inputs, outputs)
        seconds = least_seconds(calls, rounds)
        top = peak.flops / seconds["peak"] / 1e9
        rates = [operations / seconds[name] / 1e9 for name in calls if name not in ("peak", "fill")]
        table.append(
            (
                f"{1 - density:.0%}",
                *(f"{rate:.0f}" for rate in rates),
                f"{top / max(1, loads):.0f}",
                f"{top:.0f}",
            )
        )
    columns = ["zeros", "as it is", "outputs in L1", "inputs in L1", "both in L1", "bound by loads", "peak"]
    click.echo(render(columns, table))
    stores = FILL_BYTES / seconds["fill"] / 1e9
    additions = top / (2 * max_lanes()) / (stores / (4 * max_lanes()))
    click.echo(
        f"\nGFLOP/s on nonzeros, one thread, least time of {rounds} interleaved rounds. Writing {FILL_BYTES >> 10} kB "
        f"again and again: {stores:.0f} GB/s; a vector written takes as long as {additions:.1f} multiply-adds."
    )


if __name__ == "__main__":
    main()
