"""Detectors that choose boxes themselves, as C: the same boxes, and how many of them there are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from converters import from_onnx
from sparsenet import Engine
from tests.converters.test_detectors import DETECTORS, images
from tests.full import chosen
from tests.sparsenet.targets.c99.compiled import Compiled, assert_same, compile_c, needs_compiler, sanitizers


@needs_compiler
@pytest.mark.parametrize("name", chosen(["ssd"], DETECTORS))
def test_as_the_engine(name: str, tmp_path: Path) -> None:
    make, batch = DETECTORS[name]
    proto = make(0.8)
    graph = from_onnx(proto, batch=batch)
    network = Compiled(graph, tmp_path)
    plan, context, engine = network.exported.plan, network.context(), Engine(graph, 1)
    axes = [info.partial.axis - 1 if info.partial else None for info in plan.outputs]
    side, lengths = proto.graph.input[0].type.tensor_type.shape.dim[2].dim_value, set()
    for seed in range(3):
        x = images(side, seed)
        expected = engine.run({"images": x[None] if batch == "fixed" else x})
        results = context.run(x)
        for count, (valid,) in zip(plan.counts, results[len(graph.outputs) :], strict=True):
            lengths.add(int(valid))
            for number in count.results:
                results[number] = results[number].take(range(valid), axes[number])
        for output, result in zip(graph.outputs, results, strict=False):
            assert_same(result, expected[output][0], 1e-4)
    engine.close()
    assert len(lengths) > 1 or not plan.counts
    compile_c(tmp_path, "-O1", *sanitizers(), "net.c", "net_weights.c", "net_test.c", "-lm", "-o", "checked")
    assert subprocess.run([tmp_path / "checked"], capture_output=True, check=True).stdout == b"ok\n"
