"""Detectors with their post-processing in the graph give what ONNX Runtime gives, dense and pruned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

from converters import from_onnx, passes
from converters.onnx_import import OnnxSource
from converters.verify import verify
from sparsenet import Engine, reference
from sparsenet.cli import main
from sparsenet.errors import UnsupportedOpError
from tests.converters.detectors import filtered, padded, ssd, transformer_head, yolo
from tests.full import crossed

Batch = Literal["free", "fixed"]
DETECTORS: dict[str, tuple[Callable[..., onnx.ModelProto], Batch]] = {
    "yolo": (yolo, "fixed"),
    "ssd": (ssd, "fixed"),
    "transformer": (transformer_head, "free"),
    "filtered": (filtered, "fixed"),
    "padded": (padded, "fixed"),
}


def images(side: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((1, 3, side, side)).astype(np.float32)


@pytest.mark.parametrize("name, sparsity", crossed(list(DETECTORS), [0.8, 0.0]))
def test_as_onnxruntime(name: str, sparsity: float) -> None:
    make, batch = DETECTORS[name]
    proto = make(sparsity)
    graph = from_onnx(proto, batch=batch)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    engine, lengths = Engine(graph, 1), set()
    side = proto.graph.input[0].type.tensor_type.shape.dim[2].dim_value
    for seed in range(3):
        x = images(side, seed)
        wanted = session.run(None, {"images": x})
        feeds = {"images": x[None] if batch == "fixed" else x}
        for results in (engine.run(feeds), reference.run(graph, feeds)):
            for output, value in zip(graph.outputs, wanted, strict=True):
                got = results[output][0] if batch == "fixed" else results[output]
                assert got.shape == value.shape
                np.testing.assert_allclose(got, value, rtol=1e-4, atol=1e-4)
        lengths.add(max(value.size for value in wanted))
        assert min(value.size for value in wanted) > 0
    assert len(lengths) > 1 or name in ("transformer", "padded"), (
        "the images should differ in how much is found"
    )
    engine.close()


def test_a_batch_of_images_has_the_longest_length() -> None:
    graph = from_onnx(yolo(0.8), batch="fixed")
    x = np.stack([images(64, seed) for seed in range(3)])
    engine = Engine(graph, 1)
    together, apart = engine(x), [engine(x[i : i + 1]) for i in range(3)]
    assert len({one.shape[1] for one in apart}) > 1
    assert together.shape[1] == max(one.shape[1] for one in apart)
    for row, one in zip(together, apart, strict=True):
        np.testing.assert_array_equal(row[: one.shape[1]], one[0])
        assert np.isnan(row[one.shape[1] :]).all()


def test_every_layer_is_verified() -> None:
    source = OnnxSource(ssd(), batch="fixed")
    report = verify(passes.optimize(source.graph(), reduce=False), source)
    assert report.passed, report.worst


def test_from_the_shell(tmp_path: Path) -> None:
    """Converted with a check of every layer; run on noise, then so that nothing is found."""
    for name, threshold in (("some", 0.55), ("none", 2.0)):
        proto = yolo(0.8)
        for constant in proto.graph.initializer:
            if numpy_helper.to_array(constant).ravel().tolist() == [np.float32(0.55)]:
                constant.CopyFrom(numpy_helper.from_array(np.array([threshold], np.float32), constant.name))
        onnx.save(proto, tmp_path / f"{name}.onnx")
        options = ["--batch", "fixed", "--verify", "--no-speed", "--threads", "1"]
        model = str(tmp_path / f"{name}.safetensors")
        result = CliRunner().invoke(main, ["convert", str(tmp_path / f"{name}.onnx"), "-o", model, *options])
        assert result.exit_code == 0, result.output
        result = CliRunner().invoke(main, ["run", model, "--random", "--threads", "1"])
        assert result.exit_code == 0, result.output
        assert ("detections: 1x0x7, nothing" in result.output.replace("×", "x")) == (name == "none"), (
            result.output
        )


def test_suppression_needs_a_batch_of_its_own() -> None:
    with pytest.raises(UnsupportedOpError, match="batch='fixed'"):
        from_onnx(yolo())
