"""The polynomial schedule and the pruner that follows it."""

from __future__ import annotations

import copy
import io
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparsenet.errors import CheckpointError, MaskError
from tests.training.pruning.networks import small_net, take_steps
from training.pruning import GradualPruner, Masks, PolynomialSchedule
from training.pruning.scopes import Scope

schedules = st.builds(
    lambda low, high, begin, length, power, every: PolynomialSchedule(
        min(low, high), max(low, high), begin, begin + length, power, every
    ),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 50),
    st.integers(0, 100),
    st.floats(0.1, 6),
    st.integers(1, 30),
)


@given(schedules)
def test_end_points(schedule: PolynomialSchedule) -> None:
    assert schedule.sparsity(schedule.begin_step - 1) == 0.0
    if schedule.end_step > schedule.begin_step:
        assert schedule.sparsity(schedule.begin_step) == pytest.approx(schedule.initial)
    assert schedule.sparsity(schedule.end_step) == schedule.final
    assert schedule.sparsity(schedule.end_step + 1000) == schedule.final


@given(schedules)
def test_never_falls(schedule: PolynomialSchedule) -> None:
    values = [schedule.sparsity(step) for step in range(schedule.end_step + 2)]
    assert values == sorted(values)
    assert values[-1] == schedule.final


def test_equation_of_the_paper() -> None:
    schedule = PolynomialSchedule(0.5, 0.8, 0, 600)
    assert schedule.sparsity(300) == pytest.approx(0.8 - 0.3 * 0.5**3)
    assert schedule.sparsity(60) == pytest.approx(0.8 - 0.3 * 0.9**3)


@given(schedules)
def test_updates_are_spaced_and_reach_the_end(schedule: PolynomialSchedule) -> None:
    last, updates = None, []
    for step in range(1, schedule.end_step + 60):
        if schedule.is_due(step, last):
            updates.append(step)
            last = step
    assert updates[0] == max(1, schedule.begin_step)
    assert updates[-1] == max(1, schedule.end_step)
    gaps = [b - a for a, b in itertools.pairwise(updates)]
    assert all(gap == schedule.every for gap in gaps[:-1])


@pytest.mark.parametrize(
    "wrong",
    [
        {"initial": 0.9, "final": 0.8},
        {"final": 1.5},
        {"initial": -0.1},
        {"begin_step": 5, "end_step": 4},
        {"begin_step": -1},
        {"power": 0},
        {"every": 0},
    ],
)
def test_impossible_schedules(wrong: dict[str, float]) -> None:
    with pytest.raises(MaskError, match=r"a schedule( needs|.s )"):
        PolynomialSchedule(**wrong)


CHANNELS = {"structured": "output"}


def make(method: str = "l1", units: dict | None = None, seed: int = 0):
    model = small_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    schedule = PolynomialSchedule(0.3, 0.8, begin_step=2, end_step=12, every=3)
    pruner = GradualPruner(model, schedule, method, **(units or {}), seed=seed)
    return model, optimizer, pruner


@pytest.mark.parametrize("method", ["l1", "random"])
@pytest.mark.parametrize("units", [{}, {"block": (1, 4)}, CHANNELS], ids=str)
def test_follows_the_schedule_and_never_revives(method: str, units: dict) -> None:
    model, optimizer, pruner = make(method, units)
    history: list[Masks] = []

    def after_step(step: int, model: torch.nn.Module) -> None:
        pruner.after_step(step, model)
        if step < 2:
            assert pruner.masks is None
            return
        assert pruner.masks is not None
        pruner.masks.check(model)
        if not history or history[-1] is not pruner.masks:
            history.append(pruner.masks)
            if units != CHANNELS:
                assert pruner.masks.sparsity == pytest.approx(pruner.schedule.sparsity(step), abs=0.02)

    take_steps(model, optimizer, 1, 15, after_step)
    assert len(history) == 5  # steps 2, 5, 8, 11 and the end, 12
    for before, after in itertools.pairwise(history):
        assert (before & after) == after
        assert after.sparsity >= before.sparsity  # small layers have few channels to lose
    assert history[-1].info["schedule"]["step"] == 12
    assert Masks.from_zeros(model).sparsity >= history[-1].sparsity


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.05, nesterov=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.05),
}


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_from_50_to_80_percent_over_two_epochs(name: str, scope: Scope) -> None:
    """Two epochs of 20 steps, and a third at the final sparsity; an update after every step."""
    model = small_net()
    optimizer = OPTIMIZERS[name](model.parameters())
    pruner = GradualPruner(model, PolynomialSchedule(0.5, 0.8, 0, 40, every=1), scope=scope)
    reached: dict[int, float] = {}

    def after_step(step: int, model: torch.nn.Module) -> None:
        pruner.after_step(step, model)
        assert pruner.masks is not None
        pruner.masks.check(model)
        reached[step] = pruner.masks.sparsity
        # Momentum and weight decay would move what the mask has pruned; nothing else is touched.
        assert Masks.from_zeros(model) == pruner.masks

    take_steps(model, optimizer, 1, 60, after_step)
    assert reached[1] == pytest.approx(0.8 - 0.3 * (39 / 40) ** 3, abs=0.01)
    assert reached[20] == pytest.approx(0.8 - 0.3 / 8, abs=0.01)
    assert reached[20] < reached[40] == reached[60] == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(
    "method, units", [("l1", {"block": (1, 4)}), ("random", {}), ("l1", CHANNELS)], ids=str
)
@pytest.mark.parametrize("stop", [1, 6, 13])
def test_resumed_run_gives_the_same_result(method: str, units: dict, stop: int) -> None:
    model, optimizer, pruner = make(method, units)
    take_steps(model, optimizer, 1, stop, pruner.after_step)
    saved = io.BytesIO()
    torch.save(pruner.state_dict(), saved)
    weights, moments = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    take_steps(model, optimizer, stop + 1, 15, pruner.after_step)

    resumed, resumed_optimizer, resumed_pruner = make(method, units)
    resumed.load_state_dict(weights)
    resumed_optimizer.load_state_dict(moments)
    saved.seek(0)
    resumed_pruner.load_state_dict(torch.load(saved, weights_only=True))
    take_steps(resumed, resumed_optimizer, stop + 1, 15, resumed_pruner.after_step)
    assert resumed_pruner.masks == pruner.masks
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, resumed.get_parameter(name))


def test_state_of_another_run_is_refused() -> None:
    state = make()[2].state_dict()
    with pytest.raises(CheckpointError, match="options"):
        make(seed=1)[2].load_state_dict(state)
    other = GradualPruner(small_net(), PolynomialSchedule(0.1, 0.2, 0, 5))
    with pytest.raises(CheckpointError, match="schedule"):
        other.load_state_dict(state)


def test_wrong_options_are_found_before_training() -> None:
    with pytest.raises(MaskError, match="magic"):
        GradualPruner(small_net(), PolynomialSchedule(), method="magic")
    with pytest.raises(MaskError, match="nowhere"):
        GradualPruner(small_net(), PolynomialSchedule(), include=["nowhere"])
