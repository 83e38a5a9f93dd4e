"""All that ``sparsenet quantize`` does to a network, with a bar for each step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converters.quantization.ranges import Method
from converters.quantization.samples import Samples
from converters.quantization.weight_scales import WeightMethod
from sparsenet.graph import Graph

if TYPE_CHECKING:
    from converters.passes.permute_channels import QuadCount
    from converters.quantization.report import QuantizationReport

#: A bar, given its label and how many samples there are: it is told of some whenever they are done.
Bar = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]
#: Samples on which the two networks are compared, and channels are equalized.
COMPARED = 32


@dataclass(frozen=True)
class InIntegers:
    """A network in integers.

    Attributes:
        graph: it.
        report: how it compares with the one in float32.
        quads: what the order of its channels brings; None if that was kept.
    """

    graph: Graph
    report: QuantizationReport
    quads: QuadCount | None


def in_integers(
    graph: Graph,
    data: Samples,
    bar: Bar,
    *,
    method: Method = "minmax",
    weights: WeightMethod = "max",
    per_channel: bool = True,
    equalization: bool = True,
    bias_correction: bool = True,
    skip: Iterable[str] = (),
    keep_order: bool = False,
    threads: int | None = None,
) -> InIntegers:
    """Equalize, quantize, compare and reorder a network.

    Args:
        graph: in float32.
        data: calibration inputs.
        bar: shows each step.
        method, weights, per_channel, bias_correction, skip, threads: as for ``quantize``.
        equalization: whether ranges of channels are made alike before, which one scale for all of a weight undoes.
        keep_order: whether channels stay in their order.
    """
    from converters.quantization.equalize import equalize
    from converters.quantization.order import ordered_for_quads
    from converters.quantization.quantize import METADATA, quantize
    from converters.quantization.report import quantization_report

    compared = min(COMPARED, len(data.names))
    if equalization and per_channel:
        with bar("equalizing", compared) as progress:
            graph = equalize(graph, data.batches(COMPARED), threads=threads, progress=progress)
    with bar("calibrating", len(data.names)) as progress:
        quantized = quantize(
            graph,
            data.batches(),
            method=method,
            weights=weights,
            per_channel=per_channel,
            bias_correction=bias_correction,
            skip=skip,
            threads=threads,
            progress=progress,
        )
    if data.random:
        quantized.metadata[METADATA] += ", which were random numbers: for tests of speed alone"
    with bar("comparing", compared) as progress:
        report = quantization_report(
            graph, quantized, data.batches(COMPARED), threads=threads, progress=progress
        )
    if keep_order:
        return InIntegers(quantized, report, None)
    ordered, quads = ordered_for_quads(quantized)
    return InIntegers(ordered, report, quads)
