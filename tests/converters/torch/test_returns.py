"""What a PyTorch module returns and leaves changed: names, None, numbers, buffers and inputs that it writes into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from converters import from_torch
from sparsenet.errors import UnsupportedOpError
from tests.converters.importing import assert_converts, assert_outputs


class Returns(nn.Module):
    """Two heads, and what ``form`` returns of them; ``count`` is a buffer."""

    def __init__(self, form: Callable[[Returns, Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.form = form
        self.boxes, self.scores = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 2, 3)
        self.register_buffer("count", torch.ones(1))

    def forward(self, x: Tensor) -> Any:
        return self.form(self, self.boxes(x), self.scores(x))


@pytest.mark.parametrize(
    "form, names",
    [
        (lambda m, a, b: (a, None), ["output"]),
        (lambda m, a, b: (None, a, [], b), ["output_0", "output_1"]),
        (lambda m, a, b: {"boxes": a, "loss": None, "scores": b}, ["boxes", "scores"]),
        (lambda m, a, b: {"heads": {"boxes": a}, "scores": b}, ["output_0", "output_1"]),
        (lambda m, a, b: {"boxes": a, "scores": b.sigmoid()}, ["boxes", "scores"]),
        (lambda m, a, b: {"scores": a.relu(), "boxes": b}, ["scores", "boxes"]),
        (lambda m, a, b: {"scores": a, "boxes": a, "sigmoid": b.sigmoid()}, ["scores", "boxes", "sigmoid"]),
        (lambda m, a, b: {"input": a, "scores": b.relu()}, ["input_1", "scores"]),
    ],
)
def test_outputs_have_their_names(form: Callable[..., Any], names: list[str]) -> None:
    returned = Returns(
        lambda m, a, b: [v for v in torch.utils._pytree.tree_leaves(form(m, a, b)) if v is not None]
    )
    module = Returns(form)
    returned.load_state_dict(module.state_dict())
    graph = from_torch(module, torch.zeros(1, 3, 6, 5), optimize=False)
    assert graph.outputs == names
    x = torch.randn(3, 3, 6, 5)
    assert_outputs(graph, {"input": x.numpy()}, [y.detach().numpy() for y in returned(x)])


@pytest.mark.parametrize("number", [lambda x: 3, lambda x: x.shape[0], lambda x: x.shape[0] * 2 + 1])
def test_numbers_among_the_outputs(number: Callable[[Tensor], Any]) -> None:
    module = Returns(lambda m, a, b: (a, number(a)))
    with pytest.raises(UnsupportedOpError, match=r"'output_1' .*does not depend on the input"):
        from_torch(module, torch.zeros(1, 3, 6, 5))


def test_calls_may_be_counted() -> None:
    def counted(module: Returns, a: Tensor, b: Tensor) -> Tensor:
        module.count += 1
        return a

    assert_converts(Returns(counted), (3, 6, 5))


def test_what_depends_on_earlier_calls_is_refused() -> None:
    def counted(module: Returns, a: Tensor, b: Tensor) -> Tensor:
        module.count += 1
        return a * module.count

    with pytest.raises(UnsupportedOpError, match=r"'count' \(buffer\): .* engines keep no state"):
        from_torch(Returns(counted), torch.zeros(1, 3, 6, 5))


def test_a_network_that_writes_into_its_input() -> None:
    module = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 4, 3))
    graph = from_torch(module, torch.zeros(1, 3, 6, 5))
    x = torch.randn(3, 3, 6, 5)
    expected = module(x.clone()).detach().numpy()
    assert_outputs(graph, {"input": x.numpy()}, [expected])


@pytest.mark.parametrize(
    "draw",
    [
        torch.randn_like,
        torch.bernoulli,
        F.dropout,
        lambda x: F.rrelu(x, training=True),
        lambda x: torch.randn(5),
    ],
)
def test_random_numbers(draw: Callable[[Tensor], Tensor]) -> None:
    module = Returns(lambda m, a, b: a.sigmoid() + draw(a.sigmoid())[..., :1])
    with pytest.raises(UnsupportedOpError, match="it draws random numbers"):
        from_torch(module, torch.zeros(1, 3, 6, 5))
