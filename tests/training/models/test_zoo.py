"""The zoo: sizes as the papers' files say, shapes, determinism."""

from __future__ import annotations

import pytest
import torch

from sparsenet.errors import InputError
from training.models import build_model
from training.models.layers import Conv2dSame
from training.models.registry import MODELS, count_parameters, default_input_size

# MaskCNN's and Xception's counts follow from the layer table alone. MiniXception's are held against the sizes of the
# papers' compressed files in test_minixception_weighs_what_the_papers_files_hold.
PARAMETERS = {
    ("maskcnn", 2): 512_194,
    ("minixception-128", 4): 167_268,
    ("minixception-128-256", 4): 435_812,
    ("xception", 4): 20_815_148,
}


@pytest.mark.parametrize("name, classes", list(PARAMETERS))
def test_parameter_counts(name: str, classes: int) -> None:
    assert count_parameters(build_model(name, classes)) == PARAMETERS[name, classes]


@pytest.mark.parametrize("name", list(MODELS))
def test_shapes_and_determinism(name: str) -> None:
    size = {"maskcnn": 124, "xception": 75}.get(name, 64)
    model, again = build_model(name, 3, seed=5).eval(), build_model(name, 3, seed=5).eval()
    other = build_model(name, 3, seed=6).eval()
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        y = model(x)
        assert y.shape == (2, 3)
        assert torch.equal(y, again(x))
        assert not torch.equal(y, other(x))
    assert default_input_size(name) in (124, 224, 256, 299)


def test_building_leaves_the_random_state_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    build_model("minixception-128", 4)
    assert torch.equal(torch.rand(3), expected)


def test_maskcnn_normalises_after_the_relu() -> None:
    kinds = [type(m).__name__ for m in build_model("maskcnn", 2).modules() if not list(m.children())]
    first_norm = kinds.index("BatchNorm2d")
    assert kinds[first_norm - 2 : first_norm + 1] == ["Conv2d", "ReLU", "BatchNorm2d"]


def test_minixception_weighs_what_the_papers_files_hold() -> None:
    """Deflated float32 files: 636,053 and 1,633,862 bytes, a little under 4 bytes for each parameter."""
    for name, size in (("minixception-128", 636_053), ("minixception-128-256", 1_633_862)):
        assert 0.9 < size / (4 * count_parameters(build_model(name, 4))) < 1.0


@pytest.mark.parametrize("side", [32, 33, 34])
@pytest.mark.parametrize("kernel, stride", [(3, 2), (3, 1), (5, 3), (1, 2)])
def test_same_padding_is_that_of_tensorflow(side: int, kernel: int, stride: int) -> None:
    """Output ⌈size / stride⌉; of an odd number of padded rows and columns the last one is below and on the right."""
    torch.manual_seed(0)
    layer, x = Conv2dSame(3, 4, kernel, stride=stride), torch.randn(2, 3, side, side + 1)
    rows = [-(-size // stride) for size in x.shape[2:]]
    total = [max(0, (n - 1) * stride + kernel - size) for n, size in zip(rows, x.shape[2:], strict=True)]
    margins = (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2)
    padded = torch.nn.functional.pad(x, margins)
    expected = torch.nn.functional.conv2d(padded, layer.weight, layer.bias, stride)
    assert expected.shape[2:] == tuple(rows)
    torch.testing.assert_close(layer(x), expected)


def test_keras_padding_shifts_the_first_layer_of_an_even_image() -> None:
    """Keras pads below and on the right alone; the other way both sides. Weights and every later layer are the same."""
    ours, keras = (build_model(f"minixception-128{kind}", 4, seed=3).eval() for kind in ("", "-keras"))
    assert list(ours.state_dict()) == list(keras.state_dict())
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    first = keras.stem[0]
    expected = torch.nn.functional.conv2d(
        torch.nn.functional.pad(x, (0, 1, 0, 1)), first.weight, first.bias, 2
    )
    torch.testing.assert_close(first(x), expected)


def test_unknown_model() -> None:
    with pytest.raises(InputError, match="unknown model 'resnet': choose one of maskcnn"):
        build_model("resnet", 4)
