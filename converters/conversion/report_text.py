"""A conversion report as the lines ``sparsenet convert`` prints."""

from __future__ import annotations

from converters.conversion.in_steps import Agreement
from converters.conversion.pipeline import ConversionReport
from converters.conversion.speed import SpeedReport
from converters.quantization.order import quads_text
from converters.verify import VerifyReport
from sparsenet.graph import TensorInfo
from sparsenet.text.one_line import one_line
from sparsenet.text.quantities import time_text


def report_text(report: ConversionReport) -> str:
    """The text of a report, all but the table of layers, one fact per line."""
    sums = report.totals
    facts = [
        ("written", str(report.output)),
        ("bytes", f"{report.file_bytes:,} on disk"),
        (
            "source",
            f"{report.source_bytes:,} bytes of weights as dense float32, {report.compression:.1f} times the file",
        ),
        ("weights", f"{sums.weights:,}, {sums.nnz:,} of them nonzero: sparsity {sums.sparsity:.1%}"),
        ("MACs", f"{sums.macs:,} for one input, {sums.nonzero_macs:,} of them with a nonzero weight"),
    ]
    facts += [("input", _sizes(info)) for info in report.inputs]
    if report.removed_channels:
        facts.append(
            ("reduced", f"{report.removed_channels:,} empty channels removed; the outputs stay the same")
        )
    if report.quads is not None and report.quads.layers:
        facts.append(("order", f"channels moved so that nonzero weights meet: {quads_text(report.quads)}"))
    if report.values != "f32":
        moved = f"weights stored as {report.values} change the outputs by up to {report.storage_error:.2g}, relative"
        facts.append(("storage", moved))
    if report.verification is not None:
        facts.append(("verified", _verified(report.verification)))
        facts += [("whole", _agreement(one)) for one in report.verification.agreements]
    if report.speed is not None:
        facts += _speed(report.speed)
    return "\n".join(one_line(f"{name:10}{text}") for name, text in facts)


def _sizes(info: TensorInfo) -> str:
    sizes = [
        f"any ({size})" if axis in info.open else str(size or "N") for axis, size in enumerate(info.shape)
    ]
    steps = f", in steps of {info.step}" if info.step > 1 else ""
    return f"{info.name}: {' x '.join(sizes)}{steps}"


def _verified(report: VerifyReport) -> str:
    worst, off = report.worst, report.source_off
    steps = [e for e in report.layers if e.step is not None]
    if steps:
        most = max(steps, key=lambda e: e.steps or 0.0)
        equal = sum(not e.max_abs for e in steps)
        floats = f"; those in float32 are within {report.tolerance:g}" * (len(steps) < len(report.layers))
        rest = (
            f" or differs by rounding, at most {most.steps:g} of 255 steps, at '{most.layer}'"
            if most.max_abs
            else ""
        )
        return (
            f"each layer, given the source's inputs, gives the source's bytes ({equal} of {len(steps)} comparisons)"
            f"{rest}{floats}"
        )
    text = (
        f"every layer is within {report.tolerance:g} of its source; the worst is '{worst.layer}', off by "
        f"{worst.max_rel:.2g} on the {worst.backend}"
    )
    if off:
        more = f" and {len(off) - 1} more" if len(off) > 1 else ""
        text += f"; at '{off[0]}'{more} the source's own rounding is off, the layer agrees with it in float64"
    return text


def _agreement(one: Agreement) -> str:
    """What comes of the whole network, where roundings that went the other way add up."""
    size = f"{one.max_abs:.2g}" if one.step is None else f"{one.max_abs / one.step:.0f} of 255 steps"
    top = "" if one.same_top is None else f"; top-1 is the same for {one.same_top} of {one.samples}"
    return f"from end to end, output '{one.output}' is off by at most {size}{top}"


def _speed(speed: SpeedReport) -> list[tuple[str, str]]:
    ratio = "but the machine was too noisy to tell how the speed changed"
    if speed.speedup is not None and speed.speedup_interval is not None:
        low, high = speed.speedup_interval
        ratio = f"{speed.speedup:.2f} times as fast (95 % interval {low:.2f} to {high:.2f})"
    counted = "processor time" if speed.clock == "cpu" else "wall time"
    threads = "1 thread" if speed.threads == 1 else f"{speed.threads} threads"
    rounds = f"{speed.rounds} rounds counted, {speed.dropped} were disturbed"
    ways = [("ways", ", ".join(f"{way} {time_text(ms / 1e3)}" for way, ms in speed.ways.items()))] * (
        len(speed.ways) > 2
    )
    kernels, first = time_text(speed.compile_ms / 1e3), time_text(speed.first_ms / 1e3)
    return [
        ("dense", time_text(speed.dense_ms / 1e3)),
        ("sparse", f"{time_text(speed.sparse_ms / 1e3)}, {ratio}"),
        *ways,
        ("measured", f"dense and sparse in turn, in {counted}, on {threads}; {rounds}"),
        (
            "start-up",
            f"{kernels} for the kernels, {first} for the first inference",
        ),
        ("memory", f"{speed.memory_bytes:,} bytes of packed weights and working memory"),
        ("verdict", speed.verdict),
    ]
