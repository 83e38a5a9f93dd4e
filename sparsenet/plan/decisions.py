"""What was chosen for the layers of a network, as ``Engine.explain`` shows it."""

from __future__ import annotations

from sparsenet.plan.plan import Decision
from sparsenet.text.records import Records


class Decisions(Records[Decision]):
    """One record for each layer: its format, its kernel, and why."""

    columns = ("layer", "op", "format", "kernel", "reason")

    def row(self, record: Decision) -> tuple[str, ...]:
        """As ``sparsenet explain`` shows it."""
        return record.layer, record.op, record.format, record.kernel, record.reason

    def line(self) -> str:
        """How many layers there are, and how many of those with weights skip zeros."""
        weighted = [decision for decision in self if decision.weights]
        return f"{len(self)} layers, {sum(d.sparse for d in weighted)} of {len(weighted)} with weights sparse"
