"""Whole networks whose sizes stay open, from PyTorch and from ONNX: at sizes they were not imported at, they agree."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from converters import from_onnx, from_torch
from sparsenet import Engine, Graph
from sparsenet.errors import InputError
from tests.converters.importing import relative_error
from tests.converters.onnx.models import run_onnxruntime
from tests.full import FULL, chosen, spread


class UNet(nn.Module):
    """Transposed convolutions up, joined with what came down; padded where halving lost a row."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Conv2d(c, d, 3, 1, 1) for c, d in pairwise((3, 6, 8, 12)))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(c, d, k, 2, k // 2 - 1) for c, d, k in ((12, 8, 2), (8, 6, 4))
        )
        self.join = nn.ModuleList(nn.Conv2d(2 * c, c, 3, 1, 1) for c in (8, 6))

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for i, layer in enumerate(self.down):
            x = F.relu(layer(F.max_pool2d(x, 2) if i else x))
            skips.append(x)
        for up, join, skip in zip(self.up, self.join, skips[1::-1], strict=True):
            y = up(x)
            rows, columns = skip.shape[2] - y.shape[2], skip.shape[3] - y.shape[3]
            y = F.pad(y, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
            x = F.relu(join(torch.cat([skip, y], 1)))
        return x


class TextDetector(nn.Module):
    """A pyramid, brought to one size, and twice as large twice: as differentiable binarization has it."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Conv2d(c, 6, 3, 2, 1) for c in (3, 6, 6))
        self.head = nn.Sequential(
            nn.Conv2d(18, 6, 3, 1, 1),
            nn.ConvTranspose2d(6, 6, 2, 2),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.ConvTranspose2d(6, 1, 3, 2, 1, output_padding=1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        maps = []
        for stage in self.stages:
            x = F.hardswish(stage(x))
            maps.append(x)
        size = maps[1].shape[2:]
        return self.head(torch.cat([F.interpolate(m, size=size) for m in maps], 1))


class SuperResolution(nn.Module):
    """Channels to pixels, added to the image as resampled."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Conv2d(12, 12, 3, 1, 1), nn.Conv2d(3, 27, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pixel_shuffle(F.relu(self.inner(F.pixel_unshuffle(x, 2))), 2)
        return F.pixel_shuffle(self.outer(x), 3) + F.interpolate(x, scale_factor=3.0, mode="bilinear")


class Attention(nn.Module):
    """Groups of channels normalised and shuffled, pixels as tokens and back."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(2, 8)
        self.queries, self.keys = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        batch, channels, rows, columns = x.shape
        y = F.silu(self.norm(x))
        y = (
            y.view(batch, 2, channels // 2, rows, columns)
            .transpose(1, 2)
            .reshape(batch, channels, rows, columns)
        )
        tokens = self.queries(y).flatten(2)
        weights = torch.softmax(tokens.transpose(1, 2) @ self.keys(y).flatten(2), -1)
        return x + (tokens @ weights).reshape(batch, channels, rows, columns)


class Boxes(nn.Module):
    """Two maps, their cells in one list, as heads of detectors have it; every other row and column of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(12, 6, 3, 1, 1), nn.Conv2d(6, 6, 3, 2, 1)
        self.heads = nn.ModuleList(nn.Conv2d(6, 2 * 5, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        quarters = [x[..., i::2, j::2] for i in range(2) for j in range(2)]
        fine = F.silu(self.first(torch.cat(quarters, 1)))
        cells = []
        for image, head in zip((fine, self.second(fine)), self.heads, strict=True):
            y = head(image)
            y = y.view(y.shape[0], 2, 5, y.shape[2], y.shape[3]).permute(0, 1, 3, 4, 2)
            cells.append(y.reshape(y.shape[0], -1, 5).sigmoid())
        return torch.cat(cells, 1)


class Windows(nn.Module):
    """Windows of 4 × 4 pixels apart and together again, behind padding to a whole number of them, cut off at last."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.mix = nn.Conv2d(3, 8, 3, 1, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[2:]
        x = F.pad(x, (0, -columns % 4, 0, -rows % 4))
        y = self.first(x)
        batch, channels, height, width = y.shape
        parts = y.view(batch, channels, height // 4, 4, width // 4, 4).permute(0, 2, 4, 1, 3, 5)
        parts = torch.softmax(parts.reshape(batch, -1, channels, 16), -1)
        parts = parts.view(batch, height // 4, width // 4, channels, 4, 4).permute(0, 3, 1, 4, 2, 5)
        return self.mix(parts.reshape(batch, channels, height, width))[:, :, :rows, :columns]


#: Network, steps of sizes it must at least be open in.
NETWORKS: list[tuple[Callable[[], nn.Module], int]] = [
    (UNet, 4),
    (TextDetector, 8),
    (SuperResolution, 2),
    (Attention, 1),
    (Boxes, 2),
    (Windows, 4),
]
#: Whose kernels are compiled: the importers' work is as well seen by the oracle.
COMPILED = [make for make, _ in spread(NETWORKS, 3)]
OWN = (32, 48)


def pruned(make: Callable[[], nn.Module], zeros: float) -> nn.Module:
    torch.manual_seed(0)
    module = make().eval()
    for parameter in module.parameters():
        parameter.data *= torch.rand(parameter.shape) >= zeros
    return module


def exported(module: nn.Module, opset: int, axes: Sequence[str], example: Tensor) -> onnx.ModelProto:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (example,),
            file,
            dynamo=False,
            opset_version=opset,
            input_names=["x"],
            dynamic_axes={"x": {i: name for i, name in enumerate(axes) if name}},
        )
    return onnx.load_from_string(file.getvalue())


def assert_equal_at(
    graph: Graph,
    step: int,
    sizes: Sequence[int],
    expected: Callable[[np.ndarray], np.ndarray],
    compiled: bool,
) -> None:
    (info,) = graph.inputs
    assert info.open == (2, 3)
    assert info.step <= step
    engine, own = Engine(graph, 1, backend="compiled" if compiled else "numpy"), info.shape[2:]
    for batch, rows, columns in zip((1, 3, 2, 2), sizes, sizes[::-1], strict=False):
        x = np.random.default_rng(0).standard_normal((batch, 3, rows, columns)).astype(np.float32)
        if (rows - int(own[0] or 0)) % info.step or (columns - int(own[1] or 0)) % info.step:
            with pytest.raises(InputError, match="cannot take inputs of this size"):
                engine(x)
        else:
            y = engine(x)
            assert isinstance(y, np.ndarray)
            assert relative_error(y, expected(x)) < 2e-5


@pytest.mark.parametrize("zeros", chosen([0.8], [0.0, 0.8]))
@pytest.mark.parametrize("make, step", NETWORKS)
def test_from_pytorch(make: Callable[[], nn.Module], step: int, zeros: float) -> None:
    module = pruned(make, zeros)
    graph = from_torch(module, torch.randn(1, 3, *OWN), open_size=True)

    def expected(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(x)).numpy()  # type: ignore[no-any-return]

    assert_equal_at(graph, step, (32, 56, 24, 33), expected, make in COMPILED)


@pytest.mark.parametrize(
    "make, step, opset, zeros",
    chosen(
        [(*network, (11, 17)[i % 2], 0.8) for i, network in enumerate(NETWORKS)],
        [(*network, opset, zeros) for network in NETWORKS for opset in (11, 17) for zeros in (0.0, 0.8)],
    ),
)
def test_from_onnx(make: Callable[[], nn.Module], step: int, opset: int, zeros: float) -> None:
    proto = exported(pruned(make, zeros), opset, ("N", "", "H", "W"), torch.randn(1, 3, *OWN))
    graph = from_onnx(proto, shapes={"x": (1, 3, *OWN)})
    assert_equal_at(graph, step, (40, 64, 25), lambda x: run_onnxruntime(proto, x)[0], FULL)


class Sounds(nn.Module):
    """Causal convolutions, a spectrum with a floor under its loudest, twice as many frames in between."""

    def __init__(self) -> None:
        super().__init__()
        self.frames, self.back = nn.Conv1d(2, 8, 16, 4), nn.ConvTranspose1d(8, 2, 8, 4, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.log(self.frames(F.pad(x, (15, 0), mode="reflect")) ** 2 + 1e-3)
        y = torch.maximum(y, y.amax((1, 2), keepdim=True) - 4)
        return self.back(y)[..., : x.shape[-1] - 8]


@pytest.mark.parametrize("zeros", chosen([0.8], [0.0, 0.8]))
def test_lengths_of_sounds(zeros: float) -> None:
    module, example = pruned(Sounds, zeros), torch.randn(1, 2, 100)
    proto = exported(module, 13, ("N", "", "T"), example)
    graphs = [from_onnx(proto, dims={"T": 100}), from_torch(module, example, open_size={"input": (2,)})]
    for graph in graphs:
        assert graph.inputs[0].open == (2,)
        engine = Engine(graph, 1)
        for batch, length in ((1, 100), (3, 104), (2, 100 + 16 * graph.inputs[0].step)):
            x = np.random.default_rng(0).standard_normal((batch, 2, length)).astype(np.float32)
            y = engine(x)
            assert isinstance(y, np.ndarray)
            assert relative_error(y, run_onnxruntime(proto, x)[0]) < 2e-5


def test_dimensions_of_pytorch_inputs_that_are_none() -> None:
    module = pruned(Sounds, 0.0)
    for wanted, message in (
        (True, r"has no image input .* open_size=\{'input': \(2,\)\}"),
        ({"x": (2,)}, "open_size names the input 'x'; the inputs are: input"),
        ({"input": (0,)}, r"\(0,\) are no dimensions behind the batch of 'input'"),
        ({"input": ()}, "are no dimensions behind the batch"),
    ):
        with pytest.raises(InputError, match=message):
            from_torch(module, torch.randn(1, 2, 100), open_size=wanted)  # type: ignore[arg-type]
