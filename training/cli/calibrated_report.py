"""What ``sparsenet prune --calibrate`` tells of a pruned network: zeros, errors and milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.pruning.prune import Pruned
from converters.quantization.quantize import METADATA
from converters.quantization.steps import InIntegers
from sparsenet.latency.paired import Measured
from sparsenet.text.quantities import time_text
from sparsenet.text.table import render


@dataclass(frozen=True)
class Report:
    """Of a network that was pruned, written and measured.

    Attributes:
        output: where it was written.
        found: the network.
        before, after: what it took dense, and takes; both in 8-bit integers if it is.
        dense: layers that could not have been written, and were left as they are.
        integers: the network in 8-bit integers, if it is to be.
    """

    output: Path
    found: Pruned
    before: Measured
    after: Measured
    dense: tuple[str, ...] = ()
    integers: InIntegers | None = None

    def summary(self) -> dict[str, Any]:
        """As plain values."""
        found, before, after = self.found, self.before, self.after
        total, nnz = sum(x.weights for x in found.layers), sum(x.nnz for x in found.layers)
        return {
            "output": str(self.output),
            "file_bytes": self.output.stat().st_size,
            "pruning": found.graph.metadata["pruning"],
            "sparsity": 1 - nnz / total,
            "dense_ms": before.ms,
            "predicted_ms": found.predicted and found.predicted.ms,
            "ms": after.ms,
            "speedup": after.speedup.median,
            "speedup_low": after.speedup.low,
            "speedup_high": after.speedup.high,
            "too_noisy": after.speedup.noisy,
            "left_dense": list(self.dense),
            "quantization": self.integers and self.integers.graph.metadata[METADATA],
            "quantized": self.integers and self.integers.report.to_dict(),
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

    def text(self) -> str:
        """The same as a table and some lines."""
        facts, predicted = self.summary(), self.found.predicted
        times = ["dense_ms", *["predicted_ms"] * (predicted is not None), "ms"]
        rows = [
            (
                x["layer"],
                x["weights"],
                f"{x['sparsity']:.1%}",
                f"{x['error']:.2%}",
                *(x[time] for time in times),
            )
            for x in facts["layers"]
        ]
        titles = ["layer", "weights", "zeros", "variance lost", *(time.replace("_", " ") for time in times)]
        took = f"{time_text(self.before.ms / 1e3)} dense, {time_text(self.after.ms / 1e3)} pruned"
        numbers = ", both in 8-bit integers" if self.integers else ""
        lines = [
            f"written   {self.output}: {facts['file_bytes']:,} bytes",
            f"zeros     {facts['sparsity']:.1%} of the weights above, by {facts['pruning']}",
            f"time      {took}{numbers}, measured on one thread: {self._speed()}",
        ]
        if predicted:
            lines.append(f"predicted {time_text(predicted.ms / 1e3)} when the zeros were spread")
        if self.dense:
            lines.append(
                f"dense     {', '.join(self.dense)}: could not be written back, and stay as they are"
            )
        return "\n".join([render(titles, rows), "", *lines, *self._integer_lines()])

    def _integer_lines(self) -> list[str]:
        if self.integers is None:
            return []
        report = self.integers.report
        noise = [
            f"{name} {'not compared' if snr is None else f'{snr:.1f} dB'}"
            for name, snr in report.outputs.items()
        ]
        share = f"{report.integer_macs:.1%} of the multiply-adds"
        layers = f"{report.integer_layers} of {len(report.layers)} layers, {share}"
        return [f"int8      {layers}; against the same zeros in float32: {', '.join(noise)}"]

    def _speed(self) -> str:
        speedup = self.after.speedup
        if speedup.noisy:
            return f"about {speedup.median:.3g} times as fast, {speedup.why_noisy}"
        return f"{speedup.median:.3g} times as fast ({speedup.low:.3g} to {speedup.high:.3g})"
