"""Kernels timed alone, as samples for estimates."""

from __future__ import annotations

from collections.abc import Sequence

from bench.kernels.rates import Rate
from bench.subjects.layers import BY_FAMILY, LayerShape
from sparsenet.latency.estimate import Sample
from sparsenet.latency.kinds import is_sparse
from sparsenet.latency.work import DENSE_BYTES, SPARSE_BYTES, LayerWork


def samples_alone(rates: Sequence[Rate]) -> list[Sample]:
    """Kernels timed alone, as samples."""
    return [Sample(_work_alone(rate), rate.ms, in_network=False) for rate in rates]


def _work_alone(rate: Rate) -> LayerWork:
    layer: LayerShape = next(layer for layer in BY_FAMILY[rate.family] if layer.name == rate.layer)
    weighted = rate.gflops is not None and layer.weight_shape
    if not weighted:
        nbytes = rate.gbytes * rate.ms * 1e6
        if layer.op in ("max_pool2d", "avg_pool2d"):
            nbytes = 4.0 * layer.c_out * (layer.size // layer.stride) ** 2 * (layer.kernel**2 + 1)
        return LayerWork(rate.layer, rate.family, 1, 1, 1, 1, 1, 1.0, 0.0, nbytes, 0.0)
    density = rate.density or 1.0
    pixels = max(layer.size // layer.stride, 1) ** 2
    c_in = layer.c_in // layer.groups
    moved = 4.0 * (layer.c_in * layer.size**2 + layer.c_out * pixels)
    weights = c_in * layer.c_out * layer.kernel**2 * density
    return LayerWork(
        rate.layer, rate.family, c_in, layer.c_out, layer.kernel, layer.stride, pixels, density,
        2.0 * weights * pixels, moved, moved + weights * (SPARSE_BYTES if is_sparse(rate.family) else DENSE_BYTES),
    )  # fmt: skip
