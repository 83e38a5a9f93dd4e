"""Small networks of families that need more than convolutions, imported and run on a GPU.

That all families have a plan is tested where they are traced: ``tests/converters/test_architectures.py``.
"""

from __future__ import annotations

from typing import Any

import pytest

from sparsenet.errors import UnsupportedOpError
from sparsenet.targets.cuda.builder import Options
from sparsenet.targets.cuda.make import make_plan
from tests.full import chosen
from tests.sparsenet.targets.cuda.against_oracle import assert_gpu_matches

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
from converters import from_onnx, from_torch  # noqa: E402
from tests.converters.architectures import build  # noqa: E402
from tests.converters.detectors import transformer_head, yolo  # noqa: E402


class Attention(torch.nn.Module):  # type: ignore[name-defined,misc]
    """Self-attention with two heads over the pixels of an image (Vaswani et al. 2017), its norm first."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(channels)
        self.qkv, self.out = torch.nn.Linear(channels, 3 * channels), torch.nn.Linear(channels, channels)

    def forward(self, x: Any) -> Any:
        tokens = x.flatten(2).transpose(1, 2)
        heads = (
            part.unflatten(2, (2, -1)).transpose(1, 2) for part in self.qkv(self.norm(tokens)).chunk(3, 2)
        )
        query, key, value = heads
        shares = (query @ key.transpose(2, 3) / 2).softmax(3)
        return (
            (tokens + self.out((shares @ value).transpose(1, 2).flatten(2))).transpose(1, 2).reshape(x.shape)
        )


@pytest.mark.parametrize(
    "name, side",
    chosen([("U-Net", 8)], [("ConvNeXt", 8), ("U-Net", 8), ("MobileNetV3", 8)]),
)
def test_an_imported_network(name: str, side: int) -> None:
    """Layer normalisation with the channels last; instance and group normalisation, mirrored and interleaved maps."""
    module, (channels, _, _) = build(name, 0.5)
    assert_gpu_matches(from_torch(module, torch.zeros(1, channels, side, side)), batch=2, tolerance=1e-5)


def test_attention() -> None:
    torch.manual_seed(0)
    graph = from_torch(Attention().eval(), torch.zeros(1, 8, 3, 4))
    engine = assert_gpu_matches(graph, batch=2, tolerance=1e-5)
    used = {decision.op for decision in engine.explain()}
    assert {"normalize", "matmul", "softmax"} <= used


def test_a_detector_that_ends_in_top_k() -> None:
    assert_gpu_matches(from_onnx(transformer_head(0.5)), tolerance=1e-5)


def test_of_a_detector_only_what_follows_suppression_is_missing() -> None:
    with pytest.raises(UnsupportedOpError, match=r"^2 nodes cannot run .* \(nms\).* \(first\)"):
        make_plan(from_onnx(yolo(0.5), batch="fixed"), Options(1))
