"""What ``sparsenet bench`` leaves: a record for machines and a text for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.engines import label_of
from bench.measure.output import plain
from bench.measure.versions import versions
from bench.model.for_pytest_benchmark import benchmarks_of
from bench.model.hold import Held, verdict
from bench.model.run import Report
from bench.model.tables import held_table, layers_table, results_table
from bench.subjects.sparsity import SPARSITY_NOTE
from sparsenet import Graph
from sparsenet.targets.cpu.runtime.threads import available_cpus


def record_of(
    graph: Graph, model: str, timing: dict[str, Any], report: Report, held: Sequence[Held], least: float
) -> dict[str, Any]:
    """Everything as plain values, in the form that pytest-benchmark compares, too.

    Args:
        graph: of the network.
        model: as it was named.
        timing: the settings.
        report: what was measured.
        held: what was held against a baseline.
        least: the smallest speed that passes there.
    """
    ran = versions()
    record = {
        "model": model,
        "name": graph.name,
        "input_shape": list(graph.inputs[0].shape),
        "settings": timing,
        "available_cpus": available_cpus(),
        "versions": ran,
        "sparsity_note": SPARSITY_NOTE,
        "skipped": report.skipped,
        "results": plain(report.results),
        "layers": plain(report.layers),
        **benchmarks_of(graph.name, report.results, ran),
    }
    if held:
        record["held"] = {"answer": verdict(held).value, "fail_below": least, "rows": plain(held)}
    return record


def text_of(report: Report, held: Sequence[Held], least: float) -> str:
    """Tables, and what was left out."""
    parts = [results_table(report.results)]
    if report.layers:
        parts.append(layers_table(report.layers))
    parts += [f"{label_of(name)} left out: {note}." for name, note in report.skipped.items()]
    if held:
        parts.append(held_table(held, least))
    return "\n\n".join(parts)
