"""RetinaFace: the weight counts of the SNIP paper, the order of the priors, and the same numbers in the engine."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from torch import nn

from converters import from_torch
from converters.verify import relative_error
from sparsenet import Engine
from sparsenet.errors import InputError
from tests.full import chosen
from training.models import ResNet50, RetinaFace, build_detector, default_input_size
from training.models.layers import scale_variance
from training.models.retinaface import FeaturePyramid
from training.pruning import find_masks

BACKBONES = ["resnet50", "mobilenet0.25"]
#: As large as the detector of detection/test_sweep: most kernels are compiled once for all of them.
SIZE = (320, 320)


def conv_weights(model: nn.Module, *patterns: str) -> int:
    return sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and any(fnmatch(name, p) for p in patterns)
    )


def with_statistics(model: nn.Module) -> nn.Module:
    """In evaluation mode, with BatchNorm statistics that are not the identity."""
    generator = torch.Generator().manual_seed(0)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.2, generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.normal_(part.bias, 0, 0.2, generator=generator)
    return model.eval()


def test_weights_that_snip_prunes() -> None:
    """Seed paper: 2,097,152 in the pyramid and 1,658,880 in SSH, 774,144 of these in context branches."""
    model = RetinaFace("resnet50")
    assert conv_weights(model, "fpn.*") == 2_097_152
    assert conv_weights(model, "ssh.*") == 1_658_880
    assert conv_weights(model, "fpn.*", "ssh.*") == 3_756_032
    assert conv_weights(model, "ssh.*.context.*") == 774_144
    assert round(3_756_032 * 10**-0.5) == 1_187_762


def test_patterns_reach_pruning() -> None:
    masks = find_masks(
        RetinaFace("resnet50"),
        method="random",
        sparsity=0.5,
        scope="global",
        include=["fpn.*", "ssh.*"],
        seed=0,
    )
    assert masks.total == 3_756_032


def test_pruned_layers_have_no_bias_and_are_normalised() -> None:
    model = RetinaFace("resnet50")
    for part in (model.fpn, model.ssh):
        convolutions = [m for m in part.modules() if isinstance(m, nn.Conv2d)]
        assert all(c.bias is None for c in convolutions)
        assert len(convolutions) == sum(isinstance(m, nn.BatchNorm2d) for m in part.modules())


def test_backbone_equals_the_classifier() -> None:
    names = set(RetinaFace("resnet50").backbone.state_dict())
    assert names == {n for n in ResNet50().state_dict() if not n.startswith("fc.")}


@pytest.mark.parametrize("backbone", BACKBONES)
def test_outputs(backbone: str) -> None:
    side = 72  # no multiple of 32, so that upsampling meets odd sides
    priors = 2 * (9 * 9 + 5 * 5 + 3 * 3)
    with torch.no_grad():
        boxes, classes, landmarks = RetinaFace(backbone).eval()(torch.zeros(2, 3, side, side))
    assert boxes.shape == (2, priors, 4)
    assert classes.shape == (2, priors, 2)
    assert landmarks.shape == (2, priors, 10)


def test_priors_run_by_level_row_column_anchor() -> None:
    model = RetinaFace("mobilenet0.25").eval()
    for head, level in zip(model.class_heads, range(3), strict=True):
        nn.init.zeros_(head.weight)
        with torch.no_grad():
            head.bias.copy_(torch.tensor([0.0, 1.0, 2.0, 3.0]) + 10 * level)
        assert head.bias.shape == (4,)
    with torch.no_grad():
        classes = model(torch.zeros(1, 3, 64, 64))[1][0]
    assert classes[:4].tolist() == [[0, 1], [2, 3], [0, 1], [2, 3]]
    assert classes[2 * 64].tolist() == [10, 11]
    assert classes[2 * (64 + 16) + 1].tolist() == [22, 23]


def test_pyramid_passes_coarse_maps_down() -> None:
    pyramid = FeaturePyramid((4, 4, 4), 8).eval()
    zeros = [torch.zeros(1, 4, side, side) for side in (8, 4, 2)]
    changed = [*zeros[:2], torch.ones(1, 4, 2, 2)]
    with torch.no_grad():
        differences = [(a - b).abs().sum() for a, b in zip(pyramid(zeros), pyramid(changed), strict=True)]
    assert all(d > 0 for d in differences)


@pytest.mark.parametrize("layer, fan_in", [(nn.Conv2d(64, 128, 3), 64 * 9), (nn.Linear(300, 200), 300)])
def test_variance_scaling(layer: nn.Conv2d | nn.Linear, fan_in: int) -> None:
    torch.manual_seed(0)
    scale_variance(nn.Sequential(layer))
    assert layer.weight.std().item() == pytest.approx(fan_in**-0.5, rel=0.02)
    assert layer.bias is not None
    assert layer.bias.abs().max() == 0


def test_unknown_backbone() -> None:
    with pytest.raises(InputError, match="unknown backbone 'vgg': choose one of resnet50"):
        RetinaFace("vgg")


def test_registry() -> None:
    a, b = (
        build_detector("retinaface-mobilenet0.25", seed=3),
        build_detector("retinaface-mobilenet0.25", seed=3),
    )
    assert torch.equal(a.fpn.laterals[0][0].weight, b.fpn.laterals[0][0].weight)
    assert default_input_size("retinaface-resnet50") == 640
    with pytest.raises(InputError, match="unknown detector 'yolo': choose one of retinaface-resnet50"):
        build_detector("yolo")


@pytest.mark.parametrize(
    "backbone", chosen(["mobilenet0.25"], BACKBONES)
)  # the trunk of the other is in the zoo
def test_engine_equals_pytorch(backbone: str) -> None:
    torch.manual_seed(0)
    model = with_statistics(RetinaFace(backbone))
    x = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = [t.numpy() for t in model(x)]
    got = Engine(from_torch(model, x), threads=1)(x.numpy())
    assert isinstance(got, tuple)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.shape == theirs.shape
        assert relative_error(ours, theirs) < 1e-4


def test_published_weights_load_and_run(shared_data: Path) -> None:
    state = torch.load(
        shared_data / "retinaface_mobilenet025" / "mobilenet0.25_Final.pth",
        weights_only=True,
        map_location="cpu",
    )
    model = RetinaFace("mobilenet0.25").eval()
    model.load_published(state)
    x = 60 * torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = [t.numpy() for t in model(x)]
    got = Engine(from_torch(model, x), threads=1)(x.numpy())
    for ours, theirs in zip(got, expected, strict=True):
        assert relative_error(ours, theirs) < 1e-4


def test_published_weights_of_another_network() -> None:
    model = RetinaFace("mobilenet0.25")
    with pytest.raises(InputError, match="do not fit this RetinaFace"):
        model.load_published({"body.stage1.0.0.weight": torch.zeros(1)})
