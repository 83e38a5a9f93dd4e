from __future__ import annotations

import numpy as np
import pytest

from converters import quantize
from converters.passes import kept_channels, optimize, reduce_channels
from sparsenet.graph import Graph
from sparsenet.reference import run
from tests.converters.passes.networks import Net, assert_close, assert_same, feed

EVEN = np.arange(0, 16, 2)


def widths(graph: Graph) -> dict[str, int | None]:
    """Output channels of every conv2d and linear, by node name."""
    return {node.name: weight.shape[0] for node, _, weight in graph.weights()}


def check(graph: Graph) -> Graph:
    """Reduced alone and within the pipeline: same outputs, kept channels hold the numbers they held, idempotent."""
    reduced = reduce_channels(graph)
    assert_same(graph, reduced)
    before, after = run(graph, feed(graph), keep="all"), run(reduced, feed(graph), keep="all")
    for name, kept in kept_channels(graph).items():
        assert_close(after[name], before[name][:, kept], name)
    again = reduce_channels(reduced)
    assert {n: c.shape for n, c in again.constants.items()} == {
        n: c.shape for n, c in reduced.constants.items()
    }
    optimized = optimize(graph)
    assert_same(graph, optimized)
    unfused = optimize(graph, reduce=False)
    assert_same(graph, unfused)
    return optimized


def test_an_unpruned_network_is_left_as_it_is() -> None:
    net = Net()
    graph = net.graph(net.head(net.op("relu", net.conv("x", 6))))
    reduced = reduce_channels(graph)
    assert reduced.nodes == graph.nodes
    assert all(reduced.constants[name] is array for name, array in graph.constants.items())


def test_chain_with_unpadded_consumer_folds_constants_into_its_bias() -> None:
    net = Net()
    x = net.op("relu", net.batch_norm(net.conv("x", 16, name="a")))
    graph = net.graph(net.head(net.op("relu", net.conv(x, 8, 1, bias=False, name="b"))))
    net.kill("a", EVEN)
    assert widths(check(graph)) == {"a": 8, "b": 8, graph.nodes[-1].name: 4}


def test_weights_that_lose_channels_keep_their_grid() -> None:
    net = Net()
    x = net.op("relu", net.conv("x", 16, bias=False, name="a"))
    graph = net.graph(net.head(net.op("relu", net.conv(net.depthwise(x, bias=False), 8, 1, name="b"))))
    net.kill("a", EVEN)
    quantized = quantize(graph, feed(graph), bias_correction=False)
    check_integers(quantized, "a", 8)


def test_constants_before_a_padded_layer_in_integers_stay_and_leave_its_weights_their_grid() -> None:
    net = Net()
    x = net.op("relu", net.conv("x", 16, name="a"))
    graph = net.graph(net.head(net.op("relu", net.conv(x, 8, name="b"))))
    net.kill("a", EVEN)
    net.built.constants["a.bias"] = (
        np.abs(net.built.constants["a.bias"]) + 1
    )  # every constant survives the ReLU
    check_integers(quantize(graph, feed(graph), bias_correction=False), "a", 16)


def test_a_dead_channel_that_holds_quads_together_stays() -> None:
    net = Net()
    x = net.op("relu", net.conv("x", 16, bias=False, name="a"))
    graph = net.graph(net.head(net.op("relu", net.conv(x, 8, 1, name="b"))))
    net.kill("a", [1])
    quads = net.built.constants["b.weight"].reshape(8, 4, 4)
    quads[np.arange(4)[None] != np.arange(8)[:, None] % 4] = (
        0  # without channel 1 all others would leave their quads
    )
    assert widths(check(graph))["a"] == 16
    check_integers(quantize(graph, feed(graph), bias_correction=False), "a", 16)


def check_integers(quantized: Graph, name: str, kept: int) -> None:
    """Reducing leaves ``kept`` channels of a tensor, all weights their grids, and the outputs every bit."""
    reduced = reduce_channels(quantized)
    assert widths(reduced)[name] == kept
    assert set(reduced.constants) & set(reduced.quantization) == {name for _, name in reduced.weight_names()}
    before, after = run(quantized, feed(quantized)), run(reduced, feed(quantized))
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_chain_with_padded_consumer_keeps_one_carrier_for_all_constants() -> None:
    net = Net()
    x = net.op("relu", net.batch_norm(net.conv("x", 16, name="a"), name="bn"))
    graph = net.graph(net.head(net.conv(x, 8, name="b")))
    net.kill("a", EVEN)
    net.built.constants["bn.bias"] = net.built.constants["bn.bias"] + 3  # every constant survives the ReLU
    assert widths(check(graph))["a"] == 8 + 1


def test_zero_constants_cross_zero_padding() -> None:
    net = Net()
    x = net.op("relu", net.batch_norm(net.conv("x", 16, bias=False, name="a"), name="bn"))
    graph = net.graph(net.head(net.conv(x, 8, name="b")))
    net.kill("a", EVEN)
    net.silence("bn", EVEN)
    assert widths(check(graph))["a"] == 8


def test_input_channels_nobody_reads_go_from_the_producer() -> None:
    net = Net()
    x = net.op("relu", net.conv("x", 16, name="a"))
    graph = net.graph(net.head(net.conv(x, 8, name="b")))
    net.kill("b", EVEN, inputs=True)
    assert widths(check(graph))["a"] == 8


def test_input_channels_one_of_two_readers_needs_stay() -> None:
    net = Net()
    x = net.conv("x", 16, name="a")
    b, c = net.conv(x, 8, name="b"), net.conv(x, 8, 1, name="c")
    graph = net.graph(net.head(net.op("add", b, c)))
    net.kill("b", EVEN, inputs=True)
    net.kill("c", [0, 1, 2], inputs=True)
    assert widths(check(graph))["a"] == 16 - 2  # channels 0 and 2


def test_mask_cnn_order_with_bn_after_relu() -> None:
    net = Net((3, 12, 12))
    x = net.op(
        "max_pool2d",
        net.batch_norm(net.op("relu", net.conv("x", 16, 5, name="a"))),
        kernel=[2, 2],
        stride=[2, 2],
    )
    x = net.batch_norm(net.op("relu", net.conv(x, 10, name="b")))
    graph = net.graph(net.op("flatten", net.conv(x, 2, 6, padding=0, name="head")))
    net.kill("a", EVEN)
    net.kill("b", [1, 4, 7])
    assert widths(check(graph)) == {"a": 8 + 1, "b": 7, "head": 2}


def mobilenet(*, silent: bool) -> Graph:
    net = Net((3, 16, 16))
    x = net.op(
        "relu", net.batch_norm(net.conv("x", 16, stride=[2, 2], bias=False, name="stem"), name="stem_bn")
    )
    net.kill("stem", EVEN)
    pruned = {"stem_bn": EVEN}
    for i, (c_out, stride) in enumerate([(32, 1), (32, 2), (64, 1)]):
        x = net.depthwise(x, bias=False, stride=[stride, stride], name=f"dw{i}")
        x = net.op("relu", net.batch_norm(x, name=f"dw{i}_bn"))
        x = net.op("relu", net.batch_norm(net.conv(x, c_out, 1, bias=False, name=f"pw{i}"), name=f"pw{i}_bn"))
        dead = np.arange(0, c_out, 2)
        net.kill(f"pw{i}", dead)
        pruned[f"pw{i}_bn"] = dead
    graph = net.graph(net.head(x))
    if silent:
        for name, dead in pruned.items():
            net.silence(name, dead)
    return graph


def test_mobilenet_with_half_of_its_channels_silent_is_a_mobilenet_of_half_the_width() -> None:
    graph = mobilenet(silent=True)
    expected = {
        "stem": 8,
        "dw0": 8,
        "pw0": 16,
        "dw1": 16,
        "pw1": 16,
        "dw2": 16,
        "pw2": 32,
        graph.nodes[-1].name: 4,
    }
    reduced = check(graph)
    assert widths(reduced) == expected
    total = sum(int(w.size) for *_, w in graph.weights())
    left = sum(int(w.size) for *_, w in reduced.weights())
    assert 3 * left < total


def test_nonzero_constants_stay_before_a_padded_depthwise_convolution() -> None:
    graph = mobilenet(silent=False)
    reduced = check(graph)
    # The last layer's constants meet only pooling and a linear layer, the others a border.
    assert widths(reduced)["pw2"] == 32
    assert 16 > widths(reduced)["stem"] > 8


def test_residual_channels_go_only_when_every_operand_lets_them() -> None:
    net = Net()
    x = net.op("relu", net.batch_norm(net.conv("x", 16, name="stem"), name="stem_bn"))
    y = net.op("relu", net.batch_norm(net.conv(x, 12, name="a"), name="a_bn"))
    y = net.batch_norm(net.conv(y, 16, name="b"), name="b_bn")
    x = net.op("relu", net.op("add", x, y))
    graph = net.graph(net.head(net.conv(x, 8, 1, name="c")))
    net.kill("stem", [0, 1, 2, 3])
    net.kill("a", [0, 5, 6])
    net.kill("b", [0, 1, 2, 9])
    net.silence("stem_bn", [0, 1, 2, 3])
    net.silence("a_bn", [0, 5, 6])
    assert widths(check(graph)) == {"stem": 13, "a": 9, "b": 13, "c": 8, graph.nodes[-1].name: 4}


def test_residual_sum_of_two_constants_folds_behind_the_add() -> None:
    net = Net()
    a, b = net.conv("x", 16, name="a"), net.conv("x", 16, 1, name="b")
    graph = net.graph(net.head(net.conv(net.op("relu", net.op("add", a, b)), 8, 1, name="c")))
    net.kill("a", [3, 4, 5])
    net.kill("b", [4, 5, 6])
    assert widths(check(graph))["a"] == widths(check(graph))["b"] == 14


def test_residual_add_of_the_graph_input_keeps_every_channel() -> None:
    net = Net((8, 6, 6))
    y = net.op("add", "x", net.conv("x", 8, name="a"))
    graph = net.graph(net.head(y))
    net.kill("a", [0, 1])
    net.kill(graph.nodes[-1].name, [1, 2], inputs=True)
    assert widths(check(graph))["a"] == 8


def test_concat_splits_its_channels_between_the_branches() -> None:
    net = Net()
    a, b = net.op("relu", net.conv("x", 8, name="a")), net.op("relu", net.conv("x", 8, 1, name="b"))
    x = net.op("concat", a, net.op("avg_pool2d", b, kernel=[3, 3], stride=[1, 1], padding=[1] * 4), "x")
    graph = net.graph(net.head(net.conv(x, 8, name="c")))
    net.kill("a", [0, 1, 2])
    net.kill("b", [5])
    net.kill("c", [4, 8, 9], inputs=True)  # a's channel 4, b's 0 and 1
    net.built.constants["a.bias"][:3] = [-1, 0, -2]  # ReLU leaves zeros
    net.built.constants["b.bias"][5] = 2  # the pool counts its padding, so this is no constant behind it
    assert widths(check(graph)) == {"a": 4, "b": 6, "c": 8, graph.nodes[-1].name: 4}


@pytest.mark.parametrize("axis", [2, 3])
def test_concat_of_rows_couples_the_channels(axis: int) -> None:
    net = Net()
    a, b = net.conv("x", 8, name="a"), net.conv("x", 8, 1, name="b")
    graph = net.graph(net.head(net.op("concat", a, b, axis=axis)))
    net.kill("a", [0, 1, 2])
    net.kill("b", [1, 2, 3])
    net.built.constants["b.bias"][1] = net.built.constants["a.bias"][1]
    assert widths(check(graph))["a"] == 7


def test_linear_behind_flatten_of_a_map_larger_than_a_pixel() -> None:
    net = Net((3, 5, 4))
    x = net.op("flatten", net.op("relu", net.batch_norm(net.conv("x", 8, name="a"))))
    x = net.op("tanh", net.linear(x, 10, name="b"))
    graph = net.graph(net.linear(x, 3, bias=False, name="c"))
    net.kill("a", [1, 2, 6])
    net.kill("b", [0, 9])
    net.kill("c", [4], inputs=True)
    reduced = check(graph)
    assert reduced.constants["b.weight"].shape == (7, 5 * 20)
    assert reduced.constants["c.weight"].shape == (3, 7)


def test_one_needed_pixel_keeps_its_whole_channel() -> None:
    net = Net((3, 4, 4))
    graph = net.graph(net.linear(net.op("flatten", net.conv("x", 4, name="a")), 3, name="b"))
    net.kill("b", np.r_[16:37, 38:48], inputs=True)  # of channel 2 only feature 37 is read, of 1 none
    assert widths(check(graph))["a"] == 3


@pytest.mark.parametrize("shape", [[16], [16, 1, 1], [-1, 1, 1], [16, -1]])
def test_reshape_that_leaves_channels_alone(shape: list[int]) -> None:
    net = Net()
    x = net.op("global_avg_pool2d", net.conv("x", 16, name="a"))
    x = net.op("reshape", x, shape=shape)
    x = net.op("flatten", net.op("relu", x))
    graph = net.graph(net.linear(x, 4, name="b"))
    net.kill("a", EVEN)
    assert widths(check(graph))["a"] == 8


def test_channel_shuffle_keeps_every_channel() -> None:
    net = Net()
    x = net.op("reshape", net.conv("x", 16, name="a"), shape=[4, 4, 8, 8])
    x = net.op("reshape", net.op("transpose", x, perm=[0, 2, 1, 3, 4]), shape=[16, 8, 8])
    graph = net.graph(net.head(net.conv(x, 8, 1)))
    net.kill("a", EVEN)
    assert widths(check(graph))["a"] == 16


def test_grouped_convolution_loses_whole_groups_only() -> None:
    net = Net()
    x = net.conv("x", 16, name="a")
    x = net.conv(x, 8, groups=4, name="g")
    graph = net.graph(net.head(net.conv(x, 6, 1, name="c")))
    net.kill("c", [0, 1, 2, 6], inputs=True)  # both outputs of group 0, one each of groups 1 and 3
    reduced = check(graph)
    assert widths(reduced)["a"] == 12
    assert widths(reduced)["g"] == 6
    assert next(n for n in reduced.nodes if n.name == "g").attrs["groups"] == 3


def test_depthwise_multiplier() -> None:
    net = Net()
    x = net.conv("x", 6, name="a")
    x = net.conv(x, 12, groups=6, name="g")
    graph = net.graph(net.head(net.conv(x, 6, 1, name="c")))
    net.kill("c", [2, 3, 5], inputs=True)
    assert widths(check(graph))["a"] == 5


def test_squeeze_and_excitation_couples_gate_and_map() -> None:
    net = Net()
    x = net.op("relu", net.conv("x", 16, name="a"))
    gate = net.conv(net.op("relu", net.conv(net.op("global_avg_pool2d", x), 4, 1, name="s")), 16, 1, name="e")
    x = net.op("mul", x, net.op("hard_sigmoid", gate))
    graph = net.graph(net.head(net.conv(x, 8, name="c")))
    net.kill("a", EVEN)
    net.kill("s", [1])
    net.built.constants["a.bias"][EVEN] = -1
    reduced = check(graph)
    assert {"a": 8, "e": 8, "s": 3}.items() <= widths(reduced).items()


def test_a_map_broadcast_over_channels_is_kept() -> None:
    net = Net()
    x, attention = net.conv("x", 8, name="a"), net.op("sigmoid", net.conv("x", 1, name="m"))
    graph = net.graph(net.head(net.conv(net.op("mul", x, attention), 4, name="c")))
    net.kill("c", [0, 1], inputs=True)
    assert {"a": 6, "m": 1}.items() <= widths(check(graph)).items()


def test_constant_map_added_to_channels_is_cut_with_them() -> None:
    net = Net((3, 4, 4))
    x = net.conv("x", 8, name="a")
    position = net.constant("position", net.rng.normal(0, 1, (1, 8, 4, 4)))
    graph = net.graph(net.head(net.conv(net.op("add", x, position), 4, 1, name="c")))
    net.kill("a", [3])  # not constant behind the add
    net.kill("c", [0, 1], inputs=True)
    assert check(graph).constants["position"].shape == (1, 6, 4, 4)


@pytest.mark.parametrize(
    "op", ["leaky_relu", "clip", "sigmoid", "tanh", "silu", "hard_sigmoid", "hard_swish"]
)
def test_constants_pass_every_activation(op: str) -> None:
    attrs = {"leaky_relu": {"slope": 0.1}, "clip": {"min": 0.1, "max": 0.4}}.get(op, {})
    net = Net()
    x = net.op(op, net.conv("x", 8, name="a"), **attrs)
    graph = net.graph(net.head(net.conv(x, 4, 1, name="b")))
    net.kill("a", [1, 2, 3])
    assert widths(check(graph))["a"] == 5


@pytest.mark.parametrize(
    "op,attrs,kept",
    [
        ("max_pool2d", {"kernel": [3, 3], "stride": [2, 2], "padding": [1] * 4}, 4),
        ("max_pool2d", {"kernel": [2, 2], "stride": [1, 1], "padding": [1] * 4, "dilation": [3, 3]}, 8),
        ("avg_pool2d", {"kernel": [3, 3], "stride": [2, 2], "padding": [1] * 4}, 6),
        (
            "avg_pool2d",
            {"kernel": [3, 3], "stride": [2, 2], "padding": [1] * 4, "count_include_pad": False},
            4,
        ),
        ("avg_pool2d", {"kernel": [3, 3], "stride": [2, 2], "ceil_mode": True}, 4),
        ("resize", {"size": [11, 13], "mode": "bilinear"}, 4),
        ("pad", {"padding": [1, 0, 2, 1], "value": 0.0}, 6),
        ("pad", {"padding": [1, 0, 2, 1], "value": 0.5}, 6),
        ("batch_norm", {}, 4),
        ("softmax", {"axis": 1}, 8),
    ],
)
def test_constants_stay_constant_where_every_window_sees_only_data(op: str, attrs: dict, kept: int) -> None:
    net = Net()
    x = net.op("relu", net.conv("x", 8, name="a"))
    x = net.batch_norm(x) if op == "batch_norm" else net.op(op, x, **attrs)
    graph = net.graph(net.head(net.conv(x, 4, 1, padding=0, name="b")))
    net.kill("a", [1, 2, 3, 6])
    net.built.constants["a.bias"][[1, 2, 3, 6]] = [-1, 0.5, 0, 0.5]
    check(graph)
    assert widths(reduce_channels(graph))["a"] == kept


def test_graph_outputs_in_the_middle_keep_every_channel() -> None:
    net = Net()
    x = net.op("relu", net.conv("x", 8, name="a"))
    graph = net.graph(net.head(net.conv(x, 4, 1, name="b")), x)
    net.kill("a", [1, 2, 3])
    assert widths(check(graph))["a"] == 8


def test_a_layer_pruned_to_nothing_keeps_one_channel() -> None:
    net = Net()
    x = net.op("relu", net.batch_norm(net.depthwise(net.op("relu", net.conv("x", 8, name="a")), padding=0)))
    graph = net.graph(net.head(net.conv(x, 4, 1, name="b")))
    net.kill("b", slice(None), inputs=True)
    reduced = check(graph)
    assert widths(reduced)["a"] == 1


def test_shared_weights_are_cut_for_each_reader_alone() -> None:
    net = Net()
    a, b = net.conv("x", 8, name="a"), net.conv("x", 8, name="b")
    ya = net.op("conv2d", a, net.constant("shared", net.rng.normal(0, 1, (4, 8, 1, 1))), name="ca")
    yb = net.op("conv2d", b, "shared", name="cb")
    graph = net.graph(net.head(ya), net.head(yb))
    net.kill("a", [0, 1])
    net.kill("b", [5])
    reduced = check(graph)
    assert widths(reduced)["a"] == 6
    assert widths(reduced)["b"] == 7
    assert "shared" in graph.constants


def test_constant_through_two_layers_takes_both_away() -> None:
    net = Net()
    x = net.op("relu", net.conv("x", 8, name="a"))
    x = net.op("relu", net.conv(x, 8, 1, name="b"))
    graph = net.graph(net.head(net.conv(x, 4, 1, name="c")))
    net.kill("a", [0, 1])
    weight = net.built.constants["b.weight"]
    weight[3, 2:] = 0  # channel 3 of b sees only a's constants
    assert {"a": 6, "b": 7}.items() <= widths(check(graph)).items()


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_a_number_per_sample_meets_a_constant_behind_dead_channels(op: str) -> None:
    net = Net((3, 8, 8))
    x = net.conv(net.op("relu", net.conv("x", 4, bias=False, name="a")), 2, name="b")
    flat = net.op("flatten", net.op("global_avg_pool2d", x))
    number = net.op(
        "reduce", net.op("slice", flat, axis=1, start=0, count=1), kind="sum", axes=[1], keepdims=False
    )
    net.kill("a", [1])
    reduced = check(net.graph(net.op(op, number, net.constant("k", [3.0]))))
    assert widths(reduced) == {"a": 3, "b": 2}
