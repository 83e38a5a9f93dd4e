"""What ``sparsenet prune --calibrate`` tells of a pruned network: zeros, errors and milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from converters.pruning.prune import Pruned
from sparsenet.latency.paired import Measured
from sparsenet.text.quantities import time_text
from sparsenet.text.table import render


def summary(
    output: Path, found: Pruned, before: Measured, after: Measured, dense: Sequence[str] = ()
) -> dict[str, Any]:
    """As plain values.

    Args:
        output: where it was written.
        found: the network.
        before, after: what it took dense, and takes.
        dense: layers that could not have been written, and were left as they are.
    """
    total, nnz = sum(x.weights for x in found.layers), sum(x.nnz for x in found.layers)
    return {
        "output": str(output),
        "file_bytes": output.stat().st_size,
        "pruning": found.graph.metadata["pruning"],
        "sparsity": 1 - nnz / total,
        "dense_ms": before.ms,
        "predicted_ms": found.predicted and found.predicted.ms,
        "ms": after.ms,
        "speedup": after.speedup.median,
        "speedup_low": after.speedup.low,
        "speedup_high": after.speedup.high,
        "too_noisy": after.speedup.noisy,
        "left_dense": list(dense),
        "layers": [
            {
                "layer": x.layer,
                "weights": x.weights,
                "nnz": x.nnz,
                "sparsity": x.sparsity,
                "error": x.error,
                "dense_ms": before.layers.get(x.layer, 0.0),
                "predicted_ms": found.predicted and found.predicted.layer_ms[x.layer],
                "ms": after.layers.get(x.layer, 0.0),
            }
            for x in found.layers
        ],
    }


def text(output: Path, found: Pruned, before: Measured, after: Measured, dense: Sequence[str] = ()) -> str:
    """The same as a table and some lines."""
    facts = summary(output, found, before, after, dense)
    times = ["dense_ms", *["predicted_ms"] * (found.predicted is not None), "ms"]
    rows = [
        (x["layer"], x["weights"], f"{x['sparsity']:.1%}", f"{x['error']:.2%}", *(x[time] for time in times))
        for x in facts["layers"]
    ]
    titles = ["layer", "weights", "zeros", "variance lost", *(time.replace("_", " ") for time in times)]
    took = f"{time_text(before.ms / 1e3)} dense, {time_text(after.ms / 1e3)} pruned"
    lines = [
        f"written   {output}: {facts['file_bytes']:,} bytes",
        f"zeros     {facts['sparsity']:.1%} of the weights above, by {facts['pruning']}",
        f"time      {took}, measured on one thread: {_speed(after)}",
    ]
    if found.predicted:
        lines.append(f"predicted {time_text(found.predicted.ms / 1e3)} when the zeros were spread")
    if dense:
        lines.append(f"dense     {', '.join(dense)}: could not be written back, and stay as they are")
    return "\n".join([render(titles, rows), "", *lines])


def _speed(after: Measured) -> str:
    speedup = after.speedup
    if speedup.noisy:
        return f"about {speedup.median:.3g} times as fast, {speedup.why_noisy}"
    return f"{speedup.median:.3g} times as fast ({speedup.low:.3g} to {speedup.high:.3g})"
