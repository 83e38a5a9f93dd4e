"""One convolution's kernel, its pixels where they are, and in the first-level cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.kernels.one_conv import Convolution
from bench.kernels.one_kernel import Argument, OneKernel, aligned
from bench.kernels.peak import Peak
from sparsenet.targets.cpu.patterns import step_kinds
from sparsenet.targets.host import host
from sparsenet.timing import interleaved

DENSITIES = (0.2, 0.1, 0.05)
CHANNELS, HEIGHT, WIDTH = 128, 8, 64
NEAR_CHANNELS = 16
OUTPUTS, VECTORS = 4, 4
FILL_BYTES = 512 * 1024


@dataclass(frozen=True)
class Limits:
    """What bounds the convolution at one density of its weights.

    Attributes:
        density: share of weights that are not zero.
        gflops: where pixels are → 1e9 operations on nonzeros per second.
        load_bound: what loads would allow if nothing else did; ``peak`` what multiply-adds in registers do.
        stores: GB/s of writing ``FILL_BYTES`` again and again.
        store_cost: multiply-adds that take as long as writing a vector.
    """

    density: float
    gflops: dict[str, float]
    load_bound: float
    peak: float
    stores: float
    store_cost: float


class NearInputs(Convolution):
    """All columns read the same few channels, which stay in the first-level cache."""

    def offsets(self) -> npt.NDArray[np.int64]:
        """Byte offset of each tap, folded."""
        return super().offsets() % (NEAR_CHANNELS * self.source.channel_bytes)


def convolution(density: float, near_inputs: bool, near_outputs: bool) -> tuple[OneKernel, float, float]:
    """The call, its operations on nonzeros, and vector loads per multiply-add."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((CHANNELS, HEIGHT, WIDTH)).astype(np.float32)
    weight = rng.standard_normal((CHANNELS, CHANNELS, 1, 1)).astype(np.float32)
    weight[rng.random(weight.shape) >= density] = 0
    kind = NearInputs if near_inputs else Convolution
    conv = kind(x, weight, np.zeros(CHANNELS, np.float32), host().vector().lanes)
    packed = conv.pattern(OUTPUTS)
    kernel = host().vector().kernel("conv_pattern_rows", (OUTPUTS, 1, VECTORS))
    call = conv.call(kernel, packed, {"out_channel": 0} if near_outputs else {})
    counts = np.asarray(packed["counts"]).sum(axis=(0, 1))
    loads = sum(
        int(count) * (len(step) * VECTORS + OUTPUTS + -(-len(step) // 2))
        for count, step in zip(counts, step_kinds(OUTPUTS), strict=True)
    )
    nonzeros = int(np.count_nonzero(weight))
    return call, 2.0 * nonzeros * HEIGHT * WIDTH, loads / (nonzeros * VECTORS)


def limits_at(density: float, rounds: int) -> Limits:
    """All variants in turn, beside the peak and beside stores; of each its least processor time."""
    peak, target = Peak(host().vector().lanes), aligned((FILL_BYTES // 4,))
    fill: dict[str, Argument] = {"value": 1.0, "size": target.size, "out": target}
    variants = {
        "as it is": convolution(density, False, False),
        "outputs in L1": convolution(density, False, True),
        "inputs in L1": convolution(density, True, False),
        "both in L1": convolution(density, True, True),
    }
    calls: dict[str, Callable[[], None]] = {name: call for name, (call, _, _) in variants.items()}
    calls |= {"peak": peak.fma, "fill": OneKernel(host().vector().kernel("fill_none_any"), fill)}
    taken = interleaved(calls, rounds, settle=0.0)
    # Each is made twice and the second counts, when the caches are its own.
    least = {name: float(taken.seconds(name)[0].min()) for name in calls}
    top, stores = peak.flops / least["peak"] / 1e9, FILL_BYTES / least["fill"] / 1e9
    _, _, loads = variants["both in L1"]
    return Limits(
        density,
        {name: operations / least[name] / 1e9 for name, (_, operations, _) in variants.items()},
        top / max(1.0, loads),
        top,
        stores,
        (top / (2 * host().vector().lanes)) / (stores / (4 * host().vector().lanes)),
    )
