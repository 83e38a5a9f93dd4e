"""The distillation loss against its formula in NumPy float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sparsenet.errors import InputError
from training.data.images import resize
from training.distill import Distillation, distillation_loss, soft_targets


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def formula(student: np.ndarray, teacher: np.ndarray, labels: np.ndarray, t: float, alpha: float) -> float:
    """Hinton et al. 2015, section 2, written out."""
    hard = -np.log(softmax(student)[np.arange(len(labels)), labels]).mean()
    p, q = softmax(teacher / t), softmax(student / t)
    soft = (p * (np.log(p) - np.log(q))).sum(1).mean()
    return float(alpha * hard + (1 - alpha) * t**2 * soft)


@given(st.integers(0, 1000), st.sampled_from([1.0, 4.0, 5.0, 10.0]), st.floats(0, 1))
def test_loss_follows_the_formula(seed: int, temperature: float, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    student, teacher, labels = rng.normal(0, 3, (6, 4)), rng.normal(0, 3, (6, 4)), rng.integers(0, 4, 6)
    loss = distillation_loss(
        torch.from_numpy(student),
        soft_targets([torch.from_numpy(teacher)], temperature),
        torch.from_numpy(labels),
        temperature,
        alpha,
    )
    assert float(loss) == pytest.approx(
        formula(student, teacher, labels, temperature, alpha), rel=1e-9, abs=1e-12
    )


def test_a_student_that_agrees_has_no_soft_loss() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    assert float(
        distillation_loss(logits, soft_targets([logits], 5.0), torch.zeros(5, dtype=torch.long), 5.0, 0.0)
    ) == (pytest.approx(0, abs=1e-6))


def test_several_teachers_are_averaged_as_probabilities() -> None:
    a, b = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    assert torch.allclose(soft_targets([a, b], 1.0), torch.tensor([[0.5, 0.5]]))


class Brightness(nn.Module):
    """A teacher that remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: tuple[int, ...] = ()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = tuple(x.shape)
        return x.mean((2, 3))


def test_teachers_see_the_same_images_at_their_own_size_and_learn_nothing() -> None:
    teacher = Brightness().train()
    loss = Distillation([(teacher, 16)], temperature=2.0, alpha=0.5)
    assert not teacher.training
    images = torch.rand(2, 3, 32, 32)
    logits = torch.zeros(2, 3, requires_grad=True)
    loss(logits, torch.tensor([0, 1]), images).backward()
    assert teacher.seen == (2, 3, 16, 16)
    assert logits.grad is not None
    assert torch.allclose(resize(images, 16).mean((2, 3)), images.mean((2, 3)), atol=0.02)


@pytest.mark.parametrize("teachers, temperature, alpha", [([], 5.0, 0.1), (None, 0.0, 0.1), (None, 5.0, 1.5)])
def test_bad_settings(teachers: list[tuple[nn.Module, int]] | None, temperature: float, alpha: float) -> None:
    with pytest.raises(InputError):
        Distillation([(Brightness(), 8)] if teachers is None else teachers, temperature, alpha)
