"""Masks: values, algebra, staying in force under optimizers, files, making permanent."""

from __future__ import annotations

import copy
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from torch import nn
from torch.nn.utils import prune

from sparsenet.errors import CheckpointError, MaskError, MemoryLimitError
from tests.training.pruning.networks import batch, small_net, take_steps
from training.pruning import Masks, find_masks

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.05, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.05),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.05),
}


def pruned_are_zero(model: nn.Module, masks: Masks) -> bool:
    return all(bool((model.get_parameter(name)[~mask] == 0).all()) for name, mask in masks.items())


def test_counts() -> None:
    masks = Masks({"a": torch.tensor([1, 0, 0, 1]), "b": torch.tensor([[True, False]])})
    assert (masks.nnz, masks.total) == (3, 6)
    assert masks.sparsity == pytest.approx(0.5)
    assert masks.density_per_layer() == {"a": 0.5, "b": 0.5}
    assert masks["a"].dtype == torch.bool


@pytest.mark.parametrize("bad", [[0.5, 1.0], [2, 0], [-1, 1], [float("nan"), 1.0]])
def test_values_other_than_zero_and_one_name_the_layer(bad: list[float]) -> None:
    with pytest.raises(MaskError, match=r"conv1\.weight.*0 and 1"):
        Masks({"conv1.weight": torch.tensor(bad)})


def test_no_masks_and_empty_masks() -> None:
    with pytest.raises(MaskError, match="no masks"):
        Masks({})
    with pytest.raises(MaskError, match="'a' is empty"):
        Masks({"a": torch.ones(0, 3)})


def test_masks_are_a_copy() -> None:
    given_mask = torch.tensor([True, False])
    masks = Masks({"a": given_mask})
    given_mask[:] = True
    assert masks.nnz == 1


def test_apply_zeroes_only_the_pruned() -> None:
    model, before = small_net(), small_net()
    masks = find_masks(model, sparsity=0.6)
    masks.apply(model)
    assert pruned_are_zero(model, masks)
    for name, mask in masks.items():
        assert torch.equal(model.get_parameter(name)[mask], before.get_parameter(name)[mask])


def test_apply_beats_nan() -> None:
    linear = nn.Linear(2, 1)
    with torch.no_grad():
        linear.weight[0, 0] = torch.nan
    Masks({"weight": torch.tensor([[0, 1]])}).apply(linear)
    assert linear.weight[0, 0] == 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_masks_hold_under_momentum_and_weight_decay(name: str) -> None:
    model = small_net()
    optimizer = OPTIMIZERS[name](model.parameters())
    take_steps(model, optimizer, 1, 3)  # momentum that points at weights about to be pruned
    masks = find_masks(model, sparsity=0.7, scope="global")
    unheld, unheld_optimizer = copy.deepcopy(model), None
    masks.apply(model)
    take_steps(model, optimizer, 4, 8, after_step=masks.after_step)
    assert pruned_are_zero(model, masks)

    unheld_optimizer = OPTIMIZERS[name](unheld.parameters())
    masks.apply(unheld)
    take_steps(unheld, unheld_optimizer, 4, 8)
    assert not pruned_are_zero(unheld, masks)  # so the hook is what holds them


def test_apply_reaches_through_data_parallel() -> None:
    model = small_net()
    masks = find_masks(model, sparsity=0.5)
    masks.apply(nn.DataParallel(model))
    assert pruned_are_zero(model, masks)


def test_apply_names_a_missing_layer_and_changes_nothing() -> None:
    model = small_net()
    masks = Masks({"0.weight": torch.zeros(8, 3, 3, 3), "conv9.weight": torch.zeros(1)})
    with pytest.raises(MaskError, match=r"conv9\.weight"):
        masks.apply(model)
    assert model[0].weight.count_nonzero() > 0


def test_apply_names_a_layer_of_another_shape() -> None:
    with pytest.raises(MaskError, match=r"'0\.weight'.*\(3,\).*\(8, 3, 3, 3\)"):
        Masks({"0.weight": torch.ones(3)}).apply(small_net())


def test_from_zeros_recognises_a_sparse_checkpoint() -> None:
    model = small_net()
    masks = find_masks(model, sparsity=0.6)
    masks.apply(model)
    assert Masks.from_zeros(model) == masks


def test_check_names_the_layer_whose_zeros_came_back() -> None:
    model = small_net()
    masks = find_masks(model, sparsity=0.6)
    masks.apply(model)
    masks.check(model)
    with torch.no_grad():
        model[4].weight.fill_(1)
    with pytest.raises(MaskError, match=r"'4\.weight'"):
        masks.check(model)


def test_intersection() -> None:
    a = Masks({"x": torch.tensor([1, 1, 0]), "only_a": torch.tensor([1, 0])}, {"method": "l1"})
    b = Masks({"x": torch.tensor([0, 1, 1]), "only_b": torch.tensor([0, 1])})
    both = a & b
    assert both["x"].tolist() == [False, True, False]
    assert set(both) == {"x", "only_a", "only_b"}
    with pytest.raises(MaskError, match="'x'"):
        a.intersect(Masks({"x": torch.ones(4)}))


def test_finalize_leaves_plain_weights() -> None:
    model = small_net()
    masks = find_masks(model, sparsity=0.5)
    masks.finalize(model)
    assert list(model.state_dict()) == list(small_net().state_dict())
    assert Masks.from_zeros(model) == masks


def test_a_run_under_masks_of_channels_continues() -> None:
    masks = find_masks(small_net(), sparsity=0.5, structured="output")
    assert masks.affine
    masks.load_state_dict(masks.state_dict())
    with pytest.raises(CheckpointError, match="other masks"):
        masks.load_state_dict(find_masks(small_net(), sparsity=0.5).state_dict())


def test_finalize_with_torch_prune_in_place() -> None:
    model = small_net()
    prune.l1_unstructured(model[0], "weight", amount=0.3)
    prune.random_unstructured(model[8], "bias", amount=0.5)
    held = model[0].weight_mask.bool().clone()
    masks = find_masks(model, sparsity=0.5)
    masks.finalize(model)
    assert list(model.state_dict().keys()) == [key for key in model.state_dict() if "_orig" not in key]
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert set(model.state_dict()) == set(small_net().state_dict())
    zeros = model[0].weight == 0
    assert torch.equal(zeros, ~(held & masks["0.weight"]))
    assert not torch.signbit(model[0].weight[zeros]).any()
    model(batch()[0])


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8).filter(
            lambda name: name != "__metadata__"
        ),
        st.lists(st.integers(1, 5), max_size=4),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 2**31),
)
def test_file_round_trip(tmp_path_factory, shapes: dict[str, list[int]], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    masks = Masks(
        {name: torch.randint(0, 2, shape, generator=generator) for name, shape in shapes.items()},
        {"method": "random", "seed": seed, "rescued": []},
    )
    path = tmp_path_factory.mktemp("masks") / "m.masks.safetensors"
    masks.save(path)
    loaded = Masks.load(path)
    assert loaded == masks
    assert list(loaded) == list(masks)
    assert loaded.info == masks.info


def test_file_is_one_bit_per_weight_and_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    find_masks(nn.Linear(1000, 100), sparsity=0.8, seed=3).save(path)
    assert path.stat().st_size < 100_000 / 8 + 1000
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    assert metadata["format"] == "sparsenet.masks"
    assert json.loads(metadata["density_per_layer"]) == {"weight": pytest.approx(0.2)}
    info = json.loads(metadata["info"])
    assert (info["method"], info["seed"], info["sparsity"], info["scope"]) == ("l1", 3, 0.8, "layer")


def test_golden_bits(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    Masks({"w": torch.tensor([[1, 0, 0, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0, 0, 0]])}).save(path)
    assert path.read_bytes()[-2:] == bytes([0b1000_0001, 0b0000_0010])


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "m.safetensors"
    old = Masks({"w": torch.tensor([1, 0])})
    old.save(path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MaskError, match="No space left"):
        Masks({"w": torch.tensor([1, 1])}).save(path)
    monkeypatch.undo()
    assert Masks.load(path) == old
    assert list(tmp_path.iterdir()) == [path]


def good_file(path: Path, **changes: str | None) -> None:
    metadata = {
        "format": "sparsenet.masks",
        "format_version": "1",
        "shapes": '{"w": [3]}',
        "info": "{}",
        "density_per_layer": "{}",
    } | changes
    packed = {"w": np.array([0b101], np.uint8)}
    save_file(packed, path, {key: value for key, value in metadata.items() if value is not None})


def test_the_good_file_of_the_hostile_tests_is_good(tmp_path: Path) -> None:
    good_file(tmp_path / "m")
    assert Masks.load(tmp_path / "m")["w"].tolist() == [True, False, True]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"format": None}, "not a mask file"),
        ({"format": "something"}, "not a mask file"),
        ({"format_version": "2"}, "version '2'"),
        ({"shapes": None}, "'shapes'"),
        ({"shapes": "[3]"}, "'shapes'"),
        ({"shapes": "{"}, "'shapes'"),
        ({"shapes": "[" * 100_000}, "'shapes'"),
        ({"shapes": "{}"}, "do not name"),
        ({"shapes": '{"v": [3]}'}, "do not name"),
        ({"shapes": '{"w": [3], "v": [3]}'}, "do not name"),
        ({"shapes": '{"w": 3}'}, "'w' has no valid shape"),
        ({"shapes": '{"w": [-3]}'}, "'w' has no valid shape"),
        ({"shapes": '{"w": [0]}'}, "'w' has no valid shape"),
        ({"shapes": '{"w": [3.0]}'}, "'w' has no valid shape"),
        ({"shapes": '{"w": [true]}'}, "'w' has no valid shape"),
        ({"shapes": '{"w": [9]}'}, "'w' of shape"),
        ({"shapes": '{"w": [4294967296, 4294967296]}'}, "'w' of shape"),
        ({"shapes": '{"w": [2]}'}, "'w' has bits beyond"),
        ({"info": "3"}, "'info'"),
        ({"affine": "{}"}, "'affine'"),
        ({"affine": "["}, "'affine'"),
        ({"affine": "[3]"}, "'affine'"),
        ({"affine": '["v"]'}, "'affine'"),
        ({"affine": '["w"]'}, "no masks of weights"),
    ],
)
def test_hostile_metadata(tmp_path: Path, change: dict[str, str | None], message: str) -> None:
    good_file(tmp_path / "m", **change)
    with pytest.raises(MaskError, match=message) as caught:
        Masks.load(tmp_path / "m")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stored", [np.array([1.0, 0.5], np.float32), np.ones((1, 1), np.uint8)])
def test_tensors_that_are_not_packed_bits(tmp_path: Path, stored: np.ndarray) -> None:
    metadata = {"format": "sparsenet.masks", "format_version": "1", "shapes": '{"w": [8]}', "info": "{}"}
    save_file({"w": stored}, tmp_path / "m", metadata)
    with pytest.raises(MaskError, match="one bit per weight"):
        Masks.load(tmp_path / "m")


def test_a_file_with_no_masks(tmp_path: Path) -> None:
    save_file(
        {}, tmp_path / "m", {"format": "sparsenet.masks", "format_version": "1", "shapes": "{}", "info": "{}"}
    )
    with pytest.raises(MaskError, match="no masks"):
        Masks.load(tmp_path / "m")


def test_truncated_at_any_length(tmp_path: Path) -> None:
    good_file(tmp_path / "m")
    content = (tmp_path / "m").read_bytes()
    for length in range(len(content)):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(MaskError):
            Masks.load(tmp_path / "cut")


def test_missing_folder_pickle_and_weights_file(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="no such"):
        Masks.load(tmp_path / "absent.safetensors")
    with pytest.raises(MaskError, match="Is a directory"):
        Masks.load(tmp_path)
    torch.save({"w": torch.ones(3)}, tmp_path / "m.pt")
    with pytest.raises(MaskError, match="not a readable"):
        Masks.load(tmp_path / "m.pt")
    save_file({"w": np.ones(3, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(MaskError, match="not a mask file"):
        Masks.load(tmp_path / "model.safetensors")
    with pytest.raises(MaskError, match="cannot write"):
        Masks({"w": torch.ones(3)}).save(tmp_path / "no" / "such" / "folder")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"shapes": '{"w": [3], "w": [3]}'}, "not a JSON object"),
        ({"shapes": '{"w": [' + "9" * 4000 + "]}"}, "not a JSON object"),
        ({"shapes": '{"w": [' + ", ".join(["1"] * 100_000) + "]}"}, "no valid shape"),
        ({"shapes": '{"w": [1000000000000]}'}, "expected U8 with one bit"),
        ({"shapes": '{"w": [NaN]}'}, "not a JSON object"),
        ({"info": "[" * 100_000}, "not a JSON object"),
        ({"info": '{"sparsity": 1e999}'}, "not a JSON object"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_the_file_says_is_not_believed(tmp_path: Path, change: dict[str, str], message: str) -> None:
    metadata = {"format": "sparsenet.masks", "format_version": "1", "shapes": '{"w": [3]}', "info": "{}"}
    save_file({"w": np.array([5], np.uint8)}, tmp_path / "m", metadata)
    assert Masks.load(tmp_path / "m")["w"].tolist() == [True, False, True]
    save_file({"w": np.array([5], np.uint8)}, tmp_path / "m", metadata | change)
    with pytest.raises(MaskError, match=message):
        Masks.load(tmp_path / "m")


def test_pipes_and_huge_mask_files_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MaskError, match="not a regular file"):
        Masks.load(tmp_path / "pipe")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 2**40)
    with pytest.raises(MemoryLimitError, match="more than the limit"):
        Masks.load(tmp_path / "huge")
