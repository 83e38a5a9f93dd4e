"""The light models that ship with the onnx package: well-known networks, their weights replaced by small constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from converters import from_onnx
from sparsenet import Engine
from tests.full import FULL, chosen

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
MODELS = sorted(path.stem for path in FOLDER.glob("light_*.onnx"))
#: Those whose layers the others have as well: VGG and ZFNet are AlexNet made longer, Inception v2 the first with batch
#: norm; ResNet is in the zoo.
LONGER = ("light_vgg19", "light_zfnet512", "light_inception_v1", "light_resnet50")
#: The one that the short suite runs as compiled kernels, seconds' work for each network; the others run with NumPy.
COMPILED = "light_squeezenet"


def test_there_are_models() -> None:
    assert len(MODELS) >= 9


@pytest.mark.slow
@pytest.mark.parametrize("name", chosen((name for name in MODELS if name not in LONGER), MODELS))
def test_light_model(name: str) -> None:
    graph = from_onnx(FOLDER / f"{name}.onnx")
    (info,) = graph.inputs
    shape = (1, *(int(d or 0) for d in info.shape[1:]))
    size = int(np.prod(shape))
    # The input that onnx's own runner gives these models.
    x = (np.arange(size).reshape(shape) / size).astype(np.float32)
    expected = onnx.TensorProto()
    expected.ParseFromString((FOLDER / f"{name}_output_0.pb").read_bytes())
    engine = Engine(graph, 1, backend="compiled" if FULL or name == COMPILED else "numpy")
    got = engine.run({info.name: x})
    engine.close()
    wanted = numpy_helper.to_array(expected)
    np.testing.assert_allclose(next(iter(got.values())).reshape(wanted.shape), wanted, rtol=1e-3, atol=1e-7)
