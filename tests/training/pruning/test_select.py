"""Selection: exact counts, deterministic ties, floors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sparsenet.errors import MaskError
from training.pruning.budget import Budget, share_out
from training.pruning.scopes import chooser
from training.pruning.select import Selection, top_k
from training.pruning.select import select as select_by

few_values = st.sampled_from([0.0, 0.25, 1.0, 2.0])  # so that ties are common
layers = st.lists(st.lists(few_values, min_size=1, max_size=12), min_size=1, max_size=5).map(
    lambda rows: {f"layer{i}": torch.tensor(row) for i, row in enumerate(rows)}
)


def ones(scores: dict[str, Tensor]) -> dict[str, int]:
    return dict.fromkeys(scores, 1)


def select(
    scores: dict[str, Tensor], sizes: dict[str, int], budget: Budget, scope: str, *guard: Any, **options: Any
) -> Selection:
    return select_by(scores, sizes, chooser(scope, budget, {}), *guard, **options)  # type: ignore[arg-type]


def count(kept: dict[str, Tensor]) -> int:
    return sum(int(flags.sum()) for flags in kept.values())


@given(st.lists(few_values, min_size=1, max_size=30), st.data())
def test_top_k_is_the_head_of_a_stable_sort(values: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(0, len(values)))
    expected = sorted(range(len(values)), key=lambda i: (-values[i], i))[:k]
    assert top_k(torch.tensor(values), k).nonzero().squeeze(1).tolist() == sorted(expected)


def test_top_k_never_takes_what_is_already_pruned() -> None:
    scores = torch.tensor([-math.inf, 1.0, -math.inf, 0.0])
    assert top_k(scores, 4).tolist() == [False, True, False, True]


@given(layers, st.floats(0, 1))
def test_global_count_is_exact_without_a_guard(scores: dict[str, Tensor], sparsity: float) -> None:
    total = sum(score.numel() for score in scores.values())
    kept = select(scores, ones(scores), Budget(sparsity), "global", on_empty="allow").kept
    assert count(kept) == total - round(sparsity * total)


@given(layers, st.floats(0, 1))
def test_global_selection_keeps_no_worse_weight_than_it_prunes(
    scores: dict[str, Tensor], sparsity: float
) -> None:
    kept = select(scores, ones(scores), Budget(sparsity), "global", on_empty="allow").kept
    flags, values = torch.cat(list(kept.values())), torch.cat(list(scores.values()))
    if 0 < int(flags.sum()) < flags.numel():
        assert values[flags].min() >= values[~flags].max()


@given(layers, st.floats(0, 1))
def test_layer_scope_gives_every_layer_the_same_share(scores: dict[str, Tensor], sparsity: float) -> None:
    kept = select(scores, ones(scores), Budget(sparsity), "layer", on_empty="allow").kept
    for name, score in scores.items():
        assert int(kept[name].sum()) == score.numel() - round(sparsity * score.numel())


@given(layers, st.data(), st.sampled_from(["global", "layer"]), st.floats(0, 0.5))
def test_guard_holds_floors_and_budget(
    scores: dict[str, Tensor], data: st.DataObject, scope: str, min_density: float
) -> None:
    total = sum(score.numel() for score in scores.values())
    keep = data.draw(st.integers(0, total))
    floors = {n: max(1, math.ceil(min_density * s.numel() - 1e-9)) for n, s in scores.items()}
    kept = select(scores, ones(scores), Budget(keep=keep), scope, min_density).kept  # type: ignore[arg-type]
    assert all(int(kept[name].sum()) >= floors[name] for name in scores)
    assert count(kept) == max(keep, sum(floors.values()))


def test_guard_reports_the_rescued_layer_and_fills_it_with_its_best() -> None:
    scores = {"weak": torch.tensor([0.1, 0.3, 0.2]), "strong": torch.tensor([5.0, 6.0, 7.0])}
    selection = select(scores, ones(scores), Budget(keep=3), "global")
    assert selection.rescued == ("weak",)
    assert selection.kept["weak"].tolist() == [False, True, False]
    assert selection.kept["strong"].tolist() == [False, True, True]


def test_guard_can_raise_and_names_the_layer() -> None:
    scores = {"weak": torch.zeros(3), "strong": torch.ones(3)}
    with pytest.raises(MaskError, match="weak"):
        select(scores, ones(scores), Budget(keep=3), "global", on_empty="raise")


def test_guard_can_be_switched_off() -> None:
    scores = {"weak": torch.zeros(3), "strong": torch.ones(3)}
    selection = select(scores, ones(scores), Budget(keep=3), "global", on_empty="allow")
    assert selection.rescued == ()
    assert not selection.kept["weak"].any()


@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9), st.integers(0, 20)), min_size=1, max_size=6),
    st.integers(0, 150),
)
def test_shares_are_proportional_within_their_bounds(rows: list[tuple[int, int, int]], total: int) -> None:
    shares = {str(i): row[0] for i, row in enumerate(rows)}
    least = {str(i): row[1] for i, row in enumerate(rows)}
    most = {str(i): row[1] + row[2] for i, row in enumerate(rows)}
    found = share_out(shares, total, least, most)
    assert sum(found.values()) == min(max(total, sum(least.values())), sum(most.values()))
    assert all(least[name] <= found[name] <= most[name] for name in shares)
    # Weights by share are the same but for the last weight; more at floors, less at ceilings.
    lowest = max([(found[n] - 1) / shares[n] for n in shares if found[n] > least[n]], default=0.0)
    assert all((found[n] + 1) / shares[n] >= lowest for n in shares if found[n] < most[n])


def test_what_a_layer_cannot_take_goes_to_the_others() -> None:
    dead = -math.inf
    scores = {
        "worn": torch.tensor([1.0, dead, dead, dead]),
        "whole": torch.arange(4.0),
        "other": torch.arange(8.0),
    }
    kept = select(scores, ones(scores), Budget(keep=8), "layer").kept
    assert {name: int(flags.sum()) for name, flags in kept.items()} == {"worn": 1, "whole": 2, "other": 5}
    kept = select(scores, ones(scores), Budget(keep=14), "layer").kept
    assert sum(int(flags.sum()) for flags in kept.values()) == 13


def test_whole_channels_never_exceed_the_budget() -> None:
    scores = {"narrow": torch.tensor([4.0, 1.0]), "wide": torch.tensor([3.0, 2.0])}
    kept = select(scores, {"narrow": 2, "wide": 10}, Budget(keep=13), "global", on_empty="allow").kept
    assert kept["narrow"].tolist() == [True, False]
    assert kept["wide"].tolist() == [True, False]


@pytest.mark.parametrize(
    "sparsity, keep", [(None, None), (0.5, 3), (-0.1, None), (1.1, None), (math.nan, None), (None, -1)]
)
def test_impossible_budgets(sparsity: float | None, keep: int | None) -> None:
    with pytest.raises(MaskError):
        Budget(sparsity, keep)


def test_cannot_keep_more_than_there_is() -> None:
    scores = {"a": torch.ones(3)}
    with pytest.raises(MaskError, match="only 3"):
        select(scores, ones(scores), Budget(keep=4), "global")


def test_nan_scores_name_the_layer() -> None:
    scores = {"good": torch.ones(2), "bad": torch.tensor([1.0, math.nan])}
    with pytest.raises(MaskError, match="'bad'"):
        select(scores, ones(scores), Budget(0.5), "global")


@pytest.mark.parametrize(
    "option",
    [{"scope": "everywhere"}, {"on_empty": "maybe"}, {"min_density": 1.5}, {"min_density": math.nan}],
)
def test_unknown_options(option: dict[str, object]) -> None:
    arguments: dict[str, object] = {"scope": "layer"} | option
    with pytest.raises(MaskError, match=next(iter(option))):
        select({"a": torch.ones(2)}, {"a": 1}, Budget(0.5), **arguments)  # type: ignore[arg-type]
