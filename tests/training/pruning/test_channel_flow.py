"""Which BatchNorms and depthwise convolutions carry on a convolution's channels."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from converters import from_torch
from converters.passes.coupled_channels import carried
from sparsenet.graph import Graph, Node
from tests.converters.architectures import build
from tests.training.pruning.networks import Wired, small_net
from training.models.registry import MODELS, build_model
from training.pruning import Masks, find_masks
from training.pruning.channel_flow import ChannelFlow, channel_flow


@pytest.mark.parametrize("name", MODELS)
def test_every_batch_norm_of_the_zoo_is_found(name: str) -> None:
    model = build_model(name, 4)
    found = [b for behind in channel_flow(model).batch_norms.values() for b in behind]
    assert sorted(found) == sorted(n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize(
    "wire, expected",
    [
        (lambda m, x: m.bn(m.conv(x)), {"conv": ["bn"]}),
        (lambda m, x: m.bn(m.relu(m.conv(x))), {"conv": ["bn"]}),
        (lambda m, x: m.bn(F.relu(m.conv(x))), {"conv": ["bn"]}),
        (lambda m, x: m.bn(m.conv(x).relu()), {"conv": ["bn"]}),
        (lambda m, x: m.bn(m.bn2(m.conv(x))), {"conv": ["bn2", "bn"]}),
        (lambda m, x: m.bn(F.max_pool2d(m.conv(x), 2)), {"conv": ["bn"]}),
        (lambda m, x: m.bn(F.pad(m.conv(x), (0, 0, 0, 0, 1, 0))[:, 1:]), {}),
        (lambda m, x: m.bn(m.relu(y := m.conv(x))) + m.bn2(y), {"conv": ["bn", "bn2"]}),
        (lambda m, x: m.bn(m.conv(x) + m.other(x)), {}),
        (lambda m, x: m.bn(torch.flip(m.conv(x), [1])), {}),
        (lambda m, x: m.bn(m.bn(m.conv(x))), {}),  # the BatchNorm serves twice
        (lambda m, x: m.bn(m.conv(x)) + m.bn(m.other(x)), {}),
        (lambda m, x: m.bn(m.conv(m.conv(x))), {}),  # so does the convolution
        (lambda m, x: m.bn(x) + m.conv(x), {}),
    ],
)
def test_only_a_batch_norm_of_one_convolution_counts(wire: Callable, expected: dict[str, list[str]]) -> None:
    flow = channel_flow(Wired(wire))
    assert flow.batch_norms == expected
    assert flow.leaders == {}


@pytest.mark.parametrize(
    "wire, leader",
    [
        (lambda m, x: m.depthwise(m.conv(x)), "conv"),
        (lambda m, x: m.depthwise(m.relu(m.bn(m.conv(x)))), "conv"),
        (lambda m, x: m.depthwise(m.bn(F.relu(m.other(m.conv(x))))), "other"),
        (lambda m, x: m.depthwise(F.interpolate(F.avg_pool2d(m.conv(x), 2), scale_factor=2)), "conv"),
        (lambda m, x: m.depthwise(x), None),
        (lambda m, x: m.depthwise(torch.cat([m.conv(x)], 1)), None),
        (lambda m, x: m.depthwise(m.conv(x) + x), None),
        (lambda m, x: m.depthwise(m.conv(m.conv(x))), None),
        (lambda m, x: m.depthwise(m.depthwise(m.conv(x))), None),
    ],
)
def test_a_depthwise_convolution_follows_the_one_before(wire: Callable, leader: str | None) -> None:
    assert channel_flow(Wired(wire)).leaders == ({"depthwise": leader} if leader else {})


def test_depthwise_convolutions_in_a_row_follow_the_first() -> None:
    depthwise = [nn.Conv2d(4, 4, 3, groups=4) for _ in range(2)]
    model = nn.Sequential(nn.Conv2d(2, 4, 1), depthwise[0], nn.ReLU(), depthwise[1])
    assert channel_flow(model).leaders == {"1": "0", "3": "0"}


@pytest.mark.parametrize("channels, c_out, groups", [(4, 8, 4), (4, 4, 2), (1, 1, 1)])
def test_what_is_no_depthwise_convolution_follows_none(channels: int, c_out: int, groups: int) -> None:
    model = nn.Sequential(nn.Conv2d(2, channels, 1), nn.Conv2d(channels, c_out, 3, groups=groups))
    assert channel_flow(model).leaders == {}


def test_a_layer_is_known_by_its_kind_not_by_its_name() -> None:
    model = Wired(lambda m, x: m.bn(m.relu(m.conv(x))))
    model.relu = nn.Softmax(dim=1)  # type: ignore[assignment]
    assert channel_flow(model).batch_norms == {}


def test_an_untraceable_model_is_said_to_be_one() -> None:
    model = Wired(lambda m, x: m.bn(m.conv(x)) if x.sum() > 0 else x)
    with pytest.warns(UserWarning, match=r"cannot trace Wired .*not found"):
        assert channel_flow(model) == ChannelFlow()


def flow_of_graph(graph: Graph) -> ChannelFlow:
    """The same, read from the imported network; each of its layers is called once."""
    shapes, flow = graph.shapes(), ChannelFlow()
    above = {node.output: carried(node, shapes, graph.constants) for node in graph.nodes}
    convolutions = {node.output: layer_of(node) for node in graph.nodes if node.op == "conv2d"}
    for node in graph.nodes:
        source = above[node.output] if node.op in ("batch_norm", "conv2d") else None
        while source is not None and source not in convolutions:
            source = above.get(source)
        if source is not None and node.op == "batch_norm":
            flow.batch_norms.setdefault(convolutions[source], []).append(layer_of(node))
        elif source is not None:
            leader = convolutions[source]
            flow.leaders[layer_of(node)] = flow.leaders.get(leader, leader)
    return flow


def layer_of(node: Node) -> str:
    return node.inputs[1].removesuffix(".weight")


@pytest.mark.parametrize("name", ["MobileNetV3", "ShuffleNet", "ConvNeXt", "EfficientNet"])
def test_the_trace_says_what_the_imported_graph_says(name: str) -> None:
    """Squeeze and excitation, channel shuffles, layer norms, residual adds."""
    model, shape = build(name, sparsity=0.0)
    found = channel_flow(model)
    assert found == flow_of_graph(from_torch(model, torch.zeros(1, *shape), optimize=False))
    assert found.batch_norms or found.leaders


def channels(masks: Masks, name: str) -> list[bool]:
    return masks[name].flatten(1).any(dim=1).tolist()


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("method", ["l1", "random"])
def test_a_follower_loses_the_channels_of_its_leader(method: str, scope: str) -> None:
    masks = find_masks(small_net(), method, 0.5, scope=scope, structured="output")  # type: ignore[arg-type]
    assert channels(masks, "3.weight") == channels(masks, "0.weight")
    alone = find_masks(small_net(), "l1", 0.5, structured="output", exclude=["0"])
    assert channels(alone, "3.weight") != channels(
        find_masks(small_net(), sparsity=0.5, structured="output"), "3.weight"
    )


def test_a_global_budget_counts_the_followers() -> None:
    """A channel of the leader costs its 27 weights and the 9 behind it."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8))
    for keep in range(36, 8 * 36, 20):
        masks = find_masks(model, keep=keep, scope="global", structured="output")
        assert masks.nnz == keep // 36 * 36
