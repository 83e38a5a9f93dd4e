"""Finding, reading and applying masks with wrong arguments: one line of MaskError or its kin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sparsenet.errors import MaskError, SparsenetError
from training.pruning import Masks, find_masks

WRONG = [None, 3, 1.5, b"x", [], {}, (), np.zeros(3), object(), "no/such"]
BATCH = (torch.ones(2, 3, 8, 8), torch.tensor([0, 1]))


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())


def refused(call: Callable[[], object], kind: type[SparsenetError] = MaskError) -> str:
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert 0 < len(message) < 400
    assert "\n" not in message
    return message


@pytest.mark.parametrize("wrong", [*WRONG, nn.Conv2d], ids=lambda value: type(value).__name__)
def test_models_that_are_none(wrong: Any) -> None:
    refused(lambda: find_masks(wrong, sparsity=0.5))
    refused(lambda: find_masks(network(), sparsity=0.5).apply(wrong))


@pytest.mark.parametrize(
    "options",
    [
        *({"sparsity": v} for v in (None, "a", "0.5", -1, 1.5, np.nan, np.inf, [0.5], {}, np.zeros(2))),
        *({"sparsity": None, "keep": v} for v in ("a", 1.5, -1, 10**9, [3])),
        *({"method": v} for v in ("x", None, 3, [])),
        *({"scope": v} for v in ("x", 3)),
        *({"exclude": v} for v in (3, [3], "nolayer", ["no"])),
        *({"seed": v} for v in ("a", None, 1.5, 2**70)),
        *({"rounds": v} for v in ("a", 0, 1.5)),
        *({"temperature": v} for v in ("a", 0, -1, np.nan)),
        *(
            {"method": "synflow", "input_shape": v}
            for v in (3, "a", ("a",), (3,), (3, -1, 8), (1, 8, 8), [], {})
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_options(options: dict[str, Any]) -> None:
    refused(lambda: find_masks(network(), **{"sparsity": 0.5, **options}))


@pytest.mark.parametrize(
    "batches",
    [
        None, 3, "ab", [], {}, {"x": BATCH[0]}, object(), BATCH[0], [None], [3], ["ab"], [BATCH[0]], [(BATCH[0],)],
        [(*BATCH, 3)], [(None, None)], [(3, 3)], [{"x": 1, "y": 2}], [(np.zeros((2, 3, 8, 8)), np.zeros(2))],
        [(torch.zeros(()), torch.zeros(()))], [(torch.zeros(0, 3, 8, 8), torch.zeros(0))],
        [(torch.zeros(2, 4, 8, 8), BATCH[1])], [(BATCH[0].double(), BATCH[1])], [(BATCH[0].long(), BATCH[1])],
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_batches(batches: Any) -> None:
    refused(lambda: find_masks(network(), "snip", 0.5, batches=batches, loss=cross_entropy))


@pytest.mark.parametrize(
    "loss, message",
    [
        (None, "give batches"),
        (3, "loss must be a function"),
        (lambda p, y: cross_entropy(p, y, reduction="none"), r"got shape (2,): use reduction='mean'"),
        (lambda p, y: 1.0, "must be a tensor of one number, got 1.0"),
        (lambda p, y: None, "must be a tensor of one number, got None"),
        (lambda p, y: (cross_entropy(p, y),), "must be a tensor of one number"),
        (lambda p, y: cross_entropy(p, y) * 1j, "floating-point number, got torch.complex64"),
        (lambda p, y: torch.tensor(3), "floating-point number, got torch.int64"),
        (lambda p, y: cross_entropy(p, y).detach(), "does not depend on any of the weights"),
        (lambda p, y: torch.zeros(0), "must be one number, got shape (0,)"),
    ],
)
@pytest.mark.parametrize("method", ["snip", "grasp", "force"])
def test_losses(method: str, loss: Any, message: str) -> None:
    assert message in refused(lambda: find_masks(network(), method, 0.5, batches=[BATCH], loss=loss))


def test_what_a_loss_raises_is_the_callers_own() -> None:
    def loss(output: Any, y: Any) -> Any:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        find_masks(network(), "snip", 0.5, batches=[BATCH], loss=loss)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: type(value).__name__)
def test_mask_files(wrong: Any, tmp_path: Path) -> None:
    refused(lambda: Masks.load(wrong), SparsenetError)
    refused(lambda: Masks.load(tmp_path))
    masks = find_masks(network(), sparsity=0.5)
    refused(lambda: masks.save(tmp_path))
    if not isinstance(wrong, str):
        refused(lambda: masks.save(wrong), SparsenetError)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong",
    [None, 3, "a", [], {}, *({"a": v} for v in (None, 3, "b", [1, 0], np.ones(3), torch.full((3,), 2.0)))],
)
def test_masks_that_are_none(wrong: Any) -> None:
    refused(lambda: Masks(wrong))
