"""What an exported network takes: RAM ring by ring, flash layer by layer.

Bytes are those of the linker's map where pointers have four, as on microcontrollers. Code is not among them: the
compiler decides how much of it there is.
"""

from __future__ import annotations

from typing import Any

from sparsenet.targets.c99.plan import CPlan
from sparsenet.targets.c99.text.header import context_bytes
from sparsenet.targets.c99.text.source import table_bytes


def report(plan: CPlan, name: str) -> dict[str, Any]:
    """All of it as plain values for ``report.json``."""
    options = plan.options
    return {
        "name": name,
        "target": options.machine.name,
        "values": options.values,
        "ram": {
            "arena_bytes": plan.arena_bytes,
            "context_bytes": context_bytes(plan),
            "maps": [
                {
                    "tensor": value.tensor,
                    "shape": list(value.shape),
                    "rows_kept": value.capacity,
                    "bytes": value.buffer_bytes,
                    "offset": value.offset,
                }
                for value in plan.maps
            ],
        },
        "flash": {
            "constant_bytes": constant_bytes(plan),
            "table_bytes": table_bytes(plan),
            "layers": [
                {
                    "layer": decision.layer,
                    "op": decision.op,
                    "format": decision.format,
                    "kernel": decision.kernel,
                    "reason": decision.reason,
                    "bytes": plan.bytes_of(decision.layer),
                    "macs": decision.macs,
                    "nonzeros": decision.nnz,
                    "weights": decision.weights,
                }
                for decision in plan.decisions
            ],
        },
        "inputs": [{"name": info.name, "shape": list(info.shape[1:])} for info in plan.inputs],
        "outputs": [{"name": info.name, "shape": list(info.shape[1:])} for info in plan.outputs],
        "counts": [
            {"of": [plan.outputs[number].name for number in count.results], "most": count.most}
            for count in plan.counts
        ],
    }


def constant_bytes(plan: CPlan) -> int:
    """Bytes of weights and tables."""
    return sum(constant.flat.nbytes for constant in plan.constants)
