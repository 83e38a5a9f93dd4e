"""Structured pruning silences whole channels: bias, γ and β too, held, saved, counted apart, and then cut out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from converters import from_torch
from sparsenet.errors import MaskError
from sparsenet.graph import Graph
from sparsenet.reference import run
from tests.training.pruning.networks import Wired, batch, small_net, take_steps
from training.models import MaskCNN, MiniXception, MobileNetV1
from training.pruning import GradualPruner, Masks, PolynomialSchedule, find_masks


def with_statistics(model: nn.Module) -> nn.Module:
    """BatchNorms of a trained network: neither zero mean nor zero shift."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.normal_(module.bias, 0.1, 0.3, generator=generator)
    return model.eval()


def weights_of(graph: Graph) -> int:
    return sum(weight.size for *_, weight in graph.weights())


def test_bias_and_batch_norm_of_a_pruned_channel_are_masked() -> None:
    masks = find_masks(small_net(), sparsity=0.5, structured="output")
    assert masks.affine == {"0.bias", "1.weight", "1.bias", "3.bias", "4.bias", "8.bias"}
    alive = masks["0.weight"].flatten(1).any(dim=1)
    for name in ("0.bias", "1.weight", "1.bias"):
        assert torch.equal(masks[name], alive)
    assert not alive.all()


def test_they_are_counted_apart() -> None:
    silent = find_masks(small_net(), sparsity=0.5, structured="output")
    loud = find_masks(small_net(), sparsity=0.5, structured="output", prune_affine=False)
    assert silent.affine_pruned == 3 * 4 + 4 + 6 + 2
    assert loud.affine_pruned == 0
    assert (silent.nnz, silent.total, silent.sparsity) == (loud.nnz, loud.total, loud.sparsity)
    assert silent.density_per_layer() == loud.density_per_layer()
    assert silent.weights.keys() == loud.keys()
    assert repr(silent) == repr(loud)
    assert silent != loud


@pytest.mark.parametrize("structured", [None, "input"])
def test_only_output_channels_have_them(structured: str | None) -> None:
    assert not find_masks(small_net(), sparsity=0.5, structured=structured).affine  # type: ignore[arg-type]


def test_a_channel_behind_relu_and_batch_norm_is_zero() -> None:
    """MaskCNN: convolution, ReLU, BatchNorm."""
    model = with_statistics(MaskCNN(num_classes=4))
    x = torch.randn(1, 3, 124, 124, generator=torch.Generator().manual_seed(1))
    for prune_affine in (False, True):
        masks = find_masks(
            model, sparsity=0.5, structured="output", exclude=["head"], prune_affine=prune_affine
        )
        pruned = copy.deepcopy(model)
        masks.apply(pruned)
        with torch.no_grad():
            out = pruned.features[:3](x)
        dead = ~masks["features.0.weight"].flatten(1).any(dim=1)
        assert bool((out[:, dead] == 0).all()) == prune_affine
        assert out[:, ~dead].abs().amax(dim=(0, 2, 3)).min() > 0


def test_shared_parameters_stay() -> None:
    model = Wired(lambda m, x: m.bn(m.conv(x)) + m.bn2(m.other(x)))
    model.bn2.bias = model.bn.bias
    masks = find_masks(model, sparsity=0.5, structured="output")
    assert masks.affine == {"conv.bias", "bn.weight", "other.bias", "bn2.weight", "depthwise.bias"}


def test_an_untraceable_model_keeps_its_batch_norms_and_says_so() -> None:
    model = Wired(lambda m, x: m.bn(m.conv(x)) if x.sum() > 0 else x)
    with pytest.warns(UserWarning, match=r"cannot trace Wired"):
        masks = find_masks(model, sparsity=0.5, structured="output")
    assert masks.affine == {"conv.bias", "other.bias", "depthwise.bias"}


def test_they_stay_zero_under_momentum_and_survive_a_file(tmp_path: Path) -> None:
    model = small_net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    take_steps(model, optimizer, 1, 3)
    masks = find_masks(model, sparsity=0.5, structured="output")
    masks.save(tmp_path / "m")
    loaded = Masks.load(tmp_path / "m")
    assert loaded == masks
    assert loaded.affine == masks.affine
    loaded.apply(model)
    take_steps(model, optimizer, 4, 8, after_step=loaded.after_step)
    loaded.check(model)
    dead = ~masks["0.weight"].flatten(1).any(dim=1)
    with torch.no_grad():
        assert model.eval()[:2](batch()[0])[:, dead].abs().max() == 0
        model[1].bias[dead] = 1.0
    with pytest.raises(MaskError, match=r"'1\.bias'"):
        loaded.check(model)


def test_gradual_pruning_silences_and_never_revives_them() -> None:
    model = small_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01)
    pruner = GradualPruner(model, PolynomialSchedule(0.2, 0.8, 1, 8, every=2), structured="output")
    gone: dict[str, Tensor] = {}
    for step in range(1, 11):
        take_steps(model, optimizer, step, step, pruner.after_step)
        assert pruner.masks is not None
        pruner.masks.check(model)
        for name in pruner.masks.affine:
            assert not (gone.get(name, torch.tensor(False)) & pruner.masks[name]).any()
            gone[name] = ~pruner.masks[name]
    assert gone["1.bias"].sum() == 6
    resumed = GradualPruner(model, PolynomialSchedule(0.2, 0.8, 1, 8, every=2), structured="output")
    resumed.load_state_dict(pruner.state_dict())
    assert resumed.masks == pruner.masks


def test_intersection_keeps_both_kinds_apart() -> None:
    model = small_net()
    a = find_masks(model, "random", 0.5, structured="output", seed=1)
    b = find_masks(model, "random", 0.5, structured="output", seed=2)
    both = a & b
    assert both.affine == a.affine
    assert torch.equal(both["1.bias"], a["1.bias"] & b["1.bias"])
    assert (find_masks(model, sparsity=0.5) & a).affine == a.affine


def test_affine_names_need_a_mask_and_a_weight() -> None:
    with pytest.raises(MaskError, match="no mask of 'b'"):
        Masks({"w": torch.ones(3)}, affine=["b"])
    with pytest.raises(MaskError, match="no masks"):
        Masks({"b": torch.ones(3)}, affine=["b"])


@pytest.mark.parametrize(
    "make, side, share",
    [
        (lambda: MobileNetV1(width=0.25), 64, 0.27),
        (MiniXception, 64, 0.4),
        (lambda: MaskCNN(num_classes=4), 124, 0.37),
    ],
    ids=["mobilenetv1", "minixception", "maskcnn"],
)
def test_pruned_channels_are_cut_out_exactly(make: Callable[[], nn.Module], side: int, share: float) -> None:
    """Half the channels leave about a quarter of the weights; the outputs are those of the masked model."""
    torch.manual_seed(0)
    model = with_statistics(make())
    masks = find_masks(model, sparsity=0.5, structured="output", exclude=["head"])
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    graph = from_torch(model, x, masks)
    masks.apply(model)
    with torch.no_grad():
        expected = model(x).numpy()
    got = run(graph, {graph.inputs[0].name: x.numpy()})[graph.outputs[0]]
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()
    assert weights_of(graph) < share * sum(p.numel() for p in model.parameters() if p.ndim > 1)


def test_mobilenet_keeps_half_its_channels() -> None:
    model = with_statistics(MobileNetV1(width=0.25))
    masks = find_masks(model, sparsity=0.5, structured="output", exclude=["head"])
    graph = from_torch(model, torch.zeros(1, 3, 64, 64), masks)
    channels = [weight.shape[0] for *_, weight in graph.weights()][:-1]
    full = [m.out_channels for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(channels) == len(full)
    assert sum(channels) == pytest.approx(0.5 * sum(full), rel=0.05)
