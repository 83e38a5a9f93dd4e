"""The whole conversion: source → Graph → passes → verified → model file → measured, and a report of it all."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters import passes
from converters.batch_axis import Batch
from converters.conversion.sources import open_source, source_files
from converters.conversion.speed import SpeedReport, in_other_numbers, measure
from converters.onnx_import import OnnxSource
from converters.passes.permute_channels import QuadCount
from converters.quantization.order import ordered_for_quads
from converters.verify import TOLERANCE, Source, VerificationError, VerifyReport, relative_error, verify
from sparsenet.checks import flag, one_of, path_of, real_number, shown
from sparsenet.engine import Engine
from sparsenet.engine_options import EngineOptions
from sparsenet.errors import InputError
from sparsenet.graph import Graph, TensorInfo
from sparsenet.graph.counts import LayerCount, Totals, count_layers, total
from sparsenet.io.files import require_outputs
from sparsenet.io.formats.storage import VALUES
from sparsenet.io.model_file import load_graph, save


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion did and what it is worth.

    Attributes:
        name, output, values: of the network, where its model file is, how its weights are stored.
        source_bytes: the source's weights as dense float32.
        file_bytes: the model file.
        totals: weights, nonzeros and multiply-adds of the graph in the file.
        layers: the same per layer.
        removed_channels: how many channels the exact channel reduction removed, all layers together.
        quads: of a quantized network, the quads of weights with its channels as they were and as they are in the file.
        verification: error per layer against the source framework, before storage; None if not asked for.
        storage_error: largest relative error of any output due to f16 or i8 storage; 0 for f32, which is exact.
        speed: measured dense and sparse milliseconds; None if not asked for.
        inputs: of the graph in the file; ``open`` of each tells which sizes are open.
    """

    name: str
    output: Path
    values: str
    source_bytes: int
    file_bytes: int
    totals: Totals
    layers: list[LayerCount]
    removed_channels: int
    quads: QuadCount | None
    verification: VerifyReport | None
    storage_error: float
    speed: SpeedReport | None
    inputs: list[TensorInfo]

    @property
    def compression(self) -> float:
        """Source weights as dense float32 over the whole model file, bytes over bytes."""
        return self.source_bytes / self.file_bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        result = dataclasses.asdict(self) | {"output": str(self.output), "compression": self.compression}
        result["totals"]["sparsity"] = self.totals.sparsity
        if self.verification is not None:
            result["verification"]["passed"] = self.verification.passed
            result["verification"]["source_off"] = self.verification.source_off
        return result


def convert(
    source: str | os.PathLike[str] | Source,
    output: str | os.PathLike[str],
    *,
    values: str = "f32",
    reduce: bool = True,
    keep_order: bool = False,
    masks: Mapping[str, Any] | None = None,
    verify_layers: bool = False,
    measure_speed: bool = True,
    int8: bool = False,
    threads: int | None = None,
    tolerance: float = TOLERANCE,
    image_size: tuple[int, int] | None = None,
    batch: Batch = "free",
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    dims: Mapping[str, int] | None = None,
) -> ConversionReport:
    """Convert a network to a model file.

    Args:
        source: an .onnx file, a trained model file, or an open source (``TorchSource``, ``OnnxSource``).
        output: the model file to write.
        values: storage of the weights, "f32", "f16" or "i8".
        reduce: remove channels that structured pruning has emptied.
        keep_order: leave the channels of a quantized network in its order (see ``passes.permute_channels``).
        masks: weight name → 0/1 array, for a source given as a file.
        verify_layers: compare every layer with the source framework; nothing is written if that fails.
        measure_speed: time dense against sparse kernels; of a quantized network also those in float32.
        int8: time a float32 network in int8, too, with the ranges that random inputs have.
        threads: of the engine; None takes the CPUs this process may use.
        tolerance: the largest relative error of a layer that passes.
        image_size, shapes, dims: of an ONNX model that leaves sizes open (see ``from_onnx``).
        batch: what dimension 0 of the model's tensors is (see ``from_onnx``).

    Raises:
        InputError: an argument has the wrong type or value; or ``output`` is the source, a file that it is read from,
            or no regular file.
        VerificationError: a layer is off by more than ``tolerance``.
        UnsupportedOpError, ModelFileError, MaskError, GraphError: as the importers and ``sparsenet.save``.
    """
    one_of(values, "values", VALUES)
    for name, given in (
        ("reduce", reduce),
        ("keep_order", keep_order),
        ("verify_layers", verify_layers),
        ("measure_speed", measure_speed),
        ("int8", int8),
    ):
        flag(given, name)
    output, tolerance = path_of(output, "output"), real_number(tolerance, "tolerance", above=True)
    threads = EngineOptions(threads).threads
    if not isinstance(source, str | os.PathLike) and not hasattr(source, "converted"):
        raise InputError(f"source must be a path, a TorchSource or an OnnxSource, got {shown(source)}")
    opened = source.model if isinstance(source, OnnxSource) else source
    require_outputs([output], source_files(opened) if isinstance(opened, str | os.PathLike) else [])
    if isinstance(source, str | os.PathLike):
        source = open_source(source, masks, image_size, batch, shapes=shapes, dims=dims)
    full = _exact(source.graph())
    graph = source.converted(_reduced if reduce else _exact)
    verification = None
    if verify_layers:
        kept = passes.kept_channels(full) if reduce else None
        verification = verify(graph, source, kept=kept, tolerance=tolerance, threads=threads or 1)
        if not verification.passed:
            raise VerificationError(source.name, verification)
    quads = None
    if graph.quantization and not keep_order:
        graph, quads = ordered_for_quads(graph)
    save(graph, output, values=values)
    stored = load_graph(output)
    layers = count_layers(stored)
    return ConversionReport(
        name=source.name,
        output=Path(output),
        values=values,
        source_bytes=source.weight_bytes,
        file_bytes=Path(output).stat().st_size,
        totals=total(layers),
        layers=layers,
        removed_channels=_channels(full) - _channels(graph),
        quads=quads,
        verification=verification,
        storage_error=0.0 if values == "f32" else _storage_error(graph, stored, source.example()),
        speed=_speed(stored, threads, int8=int8) if measure_speed else None,
        inputs=stored.inputs,
    )


def _exact(graph: Graph) -> Graph:
    return passes.optimize(graph, reduce=False)


def _reduced(graph: Graph) -> Graph:
    return passes.run_passes(_exact(graph), passes.REDUCTION)


def _channels(graph: Graph) -> int:
    return sum(weight.shape[0] for _, _, weight in graph.weights())


def _storage_error(graph: Graph, stored: Graph, feeds: dict[str, np.ndarray]) -> float:
    exact, rounded = (Engine(g, threads=1).run(feeds) for g in (graph, stored))
    return max(relative_error(rounded[name], exact[name]) for name in graph.outputs)


def _speed(graph: Graph, threads: int | None, *, int8: bool) -> SpeedReport:
    """Dense against sparse; of a quantized network, or if ``int8``, in float32 and in int8."""
    other = in_other_numbers(graph) if graph.quantization or int8 else None
    return measure(graph, threads, other=other)
