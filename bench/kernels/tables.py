"""The rates as tables: one line per family and density, and one per layer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from bench.kernels.rates import Rate
from bench.measure.output import markdown_table
from sparsenet.text.table import render

VECTORS = {16: "AVX-512", 8: "AVX2", 4: "128 bits"}
NOTE = """\
One thread, every family alone, caches warm: the calls of one layer as the planner writes them, over and over, so that
weights and rows of pixels come from the caches (those of 1 MB and more from the third level). Medians over layers,
least and largest in brackets. GFLOP/s: 2 operations per nonzero weight and output pixel, padding taps included, idle
lanes not. GB/s: pixels read once and written once, and stored weights. Peak: multiply-adds in registers, or reading
1 MB in the second-level cache, measured in turn with each kernel; shares are medians of paired ratios. Results were
checked against PyTorch first."""


def summary(rates: Sequence[Rate], memory: bool) -> tuple[list[str], list[list[str]]]:
    """Header and rows: per family and density the rates and shares at each vector length.

    Args:
        memory: the families that memory limits, in GB/s; otherwise the others, in GFLOP/s on nonzeros.
    """
    lanes = sorted({rate.lanes for rate in rates}, reverse=True)
    own = [rate for rate in rates if rate.memory_bound is memory]
    unit = "GB/s" if memory else "GFLOP/s"
    header = ["family", "density", "layers"]
    for count in lanes:
        peaks = [rate.peak for rate in own if rate.lanes == count]
        peak = f"{median(peaks):.0f}" if peaks else "-"
        header += [f"{VECTORS[count]}, {unit}", f"of {peak}"]
    rows = []
    for family, density in dict.fromkeys((rate.family, rate.density) for rate in own):
        mine = [rate for rate in own if (rate.family, rate.density) == (family, density)]
        row = [family, "-" if density is None else f"{density:.0%}"]
        row.append(str(len({rate.layer for rate in mine})))
        for count in lanes:
            here = [rate for rate in mine if rate.lanes == count]
            row += [_range([_amount(r) for r in here]), _range([100 * r.share for r in here], " %")]
        rows.append(row)
    return header, rows


def details(rates: Sequence[Rate]) -> str:
    """One line per measurement."""
    rows = [
        (
            rate.family,
            rate.layer,
            "-" if rate.density is None else f"{rate.density:.0%}",
            rate.lanes,
            rate.kernel.partition("__cpu_")[2],
            f"{1e3 * rate.ms:.4g}",
            rate.gflops,
            rate.gbytes,
            f"{rate.share:.0%}",
        )
        for rate in rates
    ]
    return render(["family", "layer", "density", "lanes", "tile", "µs", "GFLOP/s", "GB/s", "of peak"], rows)


def text(rates: Sequence[Rate]) -> str:
    """Everything, for a terminal."""
    parts = [details(rates)]
    parts += [render(*summary(rates, memory)) for memory in (False, True) if summary(rates, memory)[1]]
    return "\n\n".join([*parts, NOTE])


def markdown(rates: Sequence[Rate]) -> str:
    """The tables per family."""
    parts = []
    for memory in (False, True):
        header, rows = summary(rates, memory)
        if rows:
            parts.append(markdown_table(header, [[f"`{row[0]}`", *row[1:]] for row in rows]))
    return "\n\n".join([*parts, NOTE]) + "\n"


def _amount(rate: Rate) -> float:
    return rate.gbytes if rate.memory_bound or rate.gflops is None else rate.gflops


def _range(values: Iterable[float], unit: str = "") -> str:
    found = sorted(values)
    if not found:
        return "-"
    typical = _number(median(found)) + unit
    return typical if len(found) == 1 else f"{typical} ({_number(found[0])}–{_number(found[-1])})"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
