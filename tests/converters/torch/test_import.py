"""Names, masks, pruning, outputs and errors of the PyTorch importer."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from converters import from_torch
from converters.torch.export import silent_tracing
from converters.torch_import import TorchSource
from sparsenet import reference
from sparsenet.errors import GraphError, InputError, MaskError, MissingExtraError, UnsupportedOpError
from tests.converters.importing import assert_converts, assert_outputs, flat


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.bn(self.conv(x)))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block1, self.block2 = Block(), Block()
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block2(self.block1(x)).mean((2, 3)))


def test_nodes_and_constants_are_named_after_the_layers() -> None:
    graph = assert_converts(Net(), (3, 6, 5))
    names = [node.name for node in graph.nodes]
    assert names[:4] == ["block1.conv", "block1.bn", "block1.add", "block1.relu"]
    assert "head" in names
    assert {"block1.conv.weight", "block2.bn.running_var", "head.bias"} <= set(graph.constants)
    assert (graph.name, graph.inputs[0].name, graph.outputs) == ("Net", "input", ["output"])


def test_name_can_be_chosen() -> None:
    assert from_torch(Net(), torch.zeros(1, 3, 4, 4), name="student").name == "student"


def test_example_input_may_be_an_array_or_a_tuple() -> None:
    example = np.zeros((2, 3, 4, 4), np.float32)
    assert (
        from_torch(Net(), example).nodes[0].name == from_torch(Net(), (torch.tensor(example),)).nodes[0].name
    )


def test_module_is_left_as_it_was() -> None:
    module = Net().train()
    module.block1.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    graph = from_torch(module, torch.randn(1, 3, 4, 4), {"head.weight": torch.zeros(2, 3)})
    assert not graph.constants["head.weight"].any()
    assert module.training
    assert not module.block1.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(p.requires_grad for p in module.parameters())


def test_half_precision_modules_become_float32() -> None:
    graph = from_torch(Net().to(torch.bfloat16), torch.randn(1, 3, 4, 4, dtype=torch.bfloat16))
    assert {array.dtype for array in graph.constants.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("prunes", [prune.l1_unstructured, prune.random_unstructured])
def test_pruned_module_keeps_its_names_and_zeros(prunes: object) -> None:
    torch.manual_seed(0)
    module = Net()
    prunes(module.block1.conv, "weight", amount=0.5)  # type: ignore[operator]
    prune.ln_structured(module.block2.conv, "weight", amount=1, n=1, dim=0)
    graph = assert_converts(module, (3, 6, 5))
    assert np.count_nonzero(graph.constants["block1.conv.weight"]) == 41
    assert hasattr(module.block1.conv, "weight_orig")


def test_pruned_module_whose_weight_is_an_autograd_result() -> None:
    module = Net()
    prune.l1_unstructured(module.head, "weight", amount=2)
    module(torch.randn(2, 3, 4, 4)).sum().backward()
    assert not module.head.weight.is_leaf
    assert np.count_nonzero(from_torch(module, torch.zeros(1, 3, 4, 4)).constants["head.weight"]) == 4


def test_parametrized_module() -> None:
    module = nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU())
    graph = assert_converts(module, (3, 5, 5))  # runs the module again afterwards
    np.testing.assert_array_equal(graph.constants["0.weight"], module[0].weight.detach().numpy())


def test_masks_zero_the_weights() -> None:
    torch.manual_seed(0)
    mask = torch.rand(3, 3, 3, 3) < 0.3
    graph = from_torch(Net(), torch.zeros(1, 3, 4, 4), {"block1.conv.weight": mask}, optimize=False)
    zeros = graph.constants["block1.conv.weight"] == 0
    np.testing.assert_array_equal(zeros, ~mask.numpy())


@pytest.mark.parametrize(
    "masks, message",
    [
        ({"body.weight": torch.ones(2, 3)}, "fits no parameter"),
        ({"head.weight": torch.ones(3, 2)}, r"\(3, 2\), its parameter \(2, 3\)"),
        ({"head.weight": torch.full((2, 3), 0.5)}, "values other than 0 and 1"),
    ],
)
def test_masks_that_do_not_fit(masks: Mapping[str, Tensor], message: str) -> None:
    with pytest.raises(MaskError, match=message):
        from_torch(Net(), torch.zeros(1, 3, 4, 4), masks)


class Outputs(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor, other: Tensor) -> object:
        y = self.conv(x)
        a, b = F.relu(y), y + other
        match self.form:
            case "tuple":
                return a, b
            case "list":
                return [a, b]
            case "dict":
                return {"boxes": b, "scores": a}
            case "nested":
                return {"levels": [a, b]}
            case "twice":
                return a, a
            case "input":
                return a, x
        return a, b.detach()


OUTPUT_NAMES = {
    "tuple": ["output_0", "output_1"],
    "list": ["output_0", "output_1"],
    "dict": ["boxes", "scores"],
    "nested": ["output_0", "output_1"],
    "twice": ["output_0", "output_1"],
    "input": ["output_0", "output_1"],
    "detached": ["output_0", "output_1"],
}


@pytest.mark.parametrize("form", OUTPUT_NAMES)
def test_several_inputs_and_outputs(form: str) -> None:
    graph = assert_converts(Outputs(form), (3, 6, 5), (4, 4, 3))
    assert [info.name for info in graph.inputs] == ["x", "other"]
    assert graph.outputs == OUTPUT_NAMES[form]


class Constant(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.relu(x), torch.arange(3.0)


def test_output_that_ignores_the_input() -> None:
    with pytest.raises(UnsupportedOpError, match=r"'output_1' .*does not depend on the input"):
        from_torch(Constant(), torch.zeros(1, 3, 4, 4))


class Tricky(nn.Module):
    """Aliased in-place writes, one layer used twice, constants computed on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        z = y.view(y.size(0), -1)
        self.relu(z)  # writes into y as well
        window = torch.arange(3, dtype=torch.float32).exp().view(1, 3, 1, 1)
        return self.conv(y) * self.scale.view(1, -1, 1, 1) + window


def test_aliases_shared_layers_and_computed_constants() -> None:
    graph = assert_converts(Tricky(), (3, 5, 4))
    convolutions = [node for node in graph.nodes if node.op == "conv2d"]
    assert [node.name for node in convolutions] == ["conv", "conv_1"]
    assert convolutions[0].inputs[1] == convolutions[1].inputs[1] == "conv.weight"


class FixedBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).reshape(2, -1)


def test_batch_fixed_by_the_module_is_free_in_the_graph() -> None:
    graph = from_torch(FixedBatch(), torch.zeros(2, 3, 2))
    assert graph.shapes()[graph.outputs[0]] == (None, 6)


class Unsupported(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveMaxPool2d(4)
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.fft.rfft2(x).real
        x = self.pool(self.conv(x))
        return F.avg_pool2d(x, 2, ceil_mode=True, divisor_override=3).flip(0).logcumsumexp(2)


def test_every_unsupported_node_is_listed_with_a_hint() -> None:
    module = Unsupported()
    with pytest.raises(UnsupportedOpError) as caught:
        from_torch(module, torch.randn(1, 3, 9, 9))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) <= 300
    for name, hint in {
        "'pool'": "windows differ in size",
        "fft": "no counterpart",
        "avg_pool2d": "divisor_override",
        "logcumsumexp": "no counterpart",
        "'flip'": "batch",
    }.items():
        assert any(name in reason and hint in reason for reason in caught.value.reasons)
    assert "'conv'" not in message


class Form(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def forward(self, x: Tensor) -> Tensor:
        match self.form:
            case "-inf pad, no pool":
                return F.relu(F.pad(x, (1, 1), value=-torch.inf))
            case "-inf pad wider than the pool":
                return F.max_pool2d(F.pad(x, (3, 3), value=-torch.inf), 2)
            case "-inf pad as output":
                return F.pad(x, (1, 1), value=-torch.inf)
            case "batch statistics":
                return F.batch_norm(x, None, None, training=True)
            case "sum over the batch":
                return F.relu(x).sum(0, keepdim=True)
            case "softmax over the batch":
                return x.softmax(0)
            case "number of images":
                return x * x.shape[0]
            case "random":
                return x + torch.rand(4, 6, 6)
            case "dropout at inference":
                return F.dropout(x, 0.5, training=True)
            case "weight from the input":
                return F.conv2d(x, x.mean(0, keepdim=True))
            case "double":
                return x.double()
        raise AssertionError(self.form)


@pytest.mark.parametrize(
    "form, hint",
    [
        ("-inf pad, no pool", "right in front of a max pooling"),
        ("-inf pad wider than the pool", "must be smaller than the kernel"),
        ("-inf pad as output", "padded with -inf"),
        ("batch statistics", "statistics of the batch"),
        ("sum over the batch", "across the batch"),
        ("softmax over the batch", "batch"),
        ("number of images", "batch size"),
        ("random", "draws random numbers"),
        ("dropout at inference", "draws random numbers"),
        ("weight from the input", "must be constants"),
        ("double", "float32"),
    ],
)
def test_what_cannot_be_expressed_is_refused(form: str, hint: str) -> None:
    with pytest.raises(UnsupportedOpError, match=hint):
        from_torch(Form(form), torch.randn(1, 4, 6, 6))


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_control_flow_on_values_is_refused_in_one_line() -> None:
    with pytest.raises(UnsupportedOpError, match=r"^'Branch' cannot be traced by torch.export: [^\n]+$"):
        from_torch(Branch(), torch.zeros(1, 3, 4, 4))


class Talkative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        sys.stderr.write("tracing\n")
        return x[:, : int(x.max().item())]


@pytest.mark.parametrize("module", [Branch(), Talkative()])
def test_a_failed_trace_leaves_nothing_of_torchs_own_on_stderr(
    module: nn.Module, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("torch")
    level = logger.level
    with pytest.raises(UnsupportedOpError):
        from_torch(module, torch.randn(1, 4, 6, 6))
    printed = capfd.readouterr()
    assert printed.out == ""
    assert set(printed.err.splitlines()) == ({"tracing"} if isinstance(module, Talkative) else set())
    # Everything else still speaks.
    assert logger.level == level
    with pytest.raises(RuntimeError, match="data-dependent"):
        torch.export.export(module, (torch.randn(1, 4, 6, 6),))
    assert "torch.ops.aten" in capfd.readouterr().err


@pytest.mark.parametrize(
    "example",
    [
        torch.zeros(1, 3, dtype=torch.int64),
        [torch.zeros(1, 3), "x"],
        torch.tensor(1.0),
        [],
        (torch.zeros(1, 3), torch.zeros(2, 3)),
    ],
    ids=["integers", "text", "no batch", "none", "two batches"],
)
def test_wrong_example_inputs(example: object) -> None:
    with pytest.raises(InputError, match=r"example inputs? .*must be (a float tensor|float tensors)"):
        from_torch(nn.ReLU(), example)


def test_nan_among_the_weights() -> None:
    module = nn.Conv2d(1, 1, 1)
    nn.init.constant_(module.weight, float("nan"))
    with pytest.raises(GraphError, match="'weight' holds NaN"):
        from_torch(module, torch.zeros(1, 1, 2, 2))


def test_missing_torch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"'\.\[train\]'"):
        from_torch(None, None)  # type: ignore[arg-type]


def test_importing_the_package_needs_no_framework() -> None:
    program = (
        "import sys; sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "from converters import from_onnx, from_torch\n"
        "import converters.conversion.command"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_source_values_are_those_of_the_module() -> None:
    torch.manual_seed(0)
    module = Net().eval()
    source = TorchSource(module, torch.randn(1, 3, 5, 5))
    graph = source.graph()
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 5), np.float32)
    values = source.values({"input": x})
    assert set(values) >= {"block1.conv", "block1.relu", "output"}
    with torch.no_grad():
        expected = module.block1(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(values["block1.relu"], expected, rtol=1e-6)
    np.testing.assert_allclose(
        reference.run(graph, {"input": x}, ["block1.relu"])["block1.relu"], expected, rtol=1e-5, atol=1e-6
    )


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[nn.Conv2d, tuple[int, int, int]]:
    groups = draw(st.integers(1, 3))
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    padding = draw(
        st.one_of(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.sampled_from(["valid", "same"]))
    )
    if padding == "same":
        stride = (1, 1)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = tuple(e + draw(st.integers(0, 5)) for e in extent)
    c_in, c_out = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    bias = draw(st.booleans())
    return nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation, groups, bias), (c_in, *size)


@settings(max_examples=25)
@given(convolutions())
def test_convolution_geometry(case: tuple[nn.Conv2d, tuple[int, int, int]]) -> None:
    module, shape = case
    torch.manual_seed(0)
    graph = from_torch(module, torch.zeros(1, *shape))
    x = torch.randn(2, *shape)
    with torch.no_grad():
        assert_outputs(graph, {"input": x.numpy()}, flat(module(x)))


class Several(nn.Module):
    def __init__(self, combine: Callable[..., Tensor]) -> None:
        super().__init__()
        self.combine = combine


class Open(Several):
    def forward(self, *inputs: Tensor) -> Tensor:
        return self.combine(*inputs)


class Further(Several):
    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        return self.combine(x, *more)


@pytest.mark.parametrize(
    "module, names",
    [
        (Open(lambda a, b: a + 2 * b), ["inputs_0", "inputs_1"]),
        (Open(lambda a: 2 * a), ["input"]),
        (Further(lambda a, b, c: a - b * c), ["x", "more_0", "more_1"]),
        (Further(lambda a, b: 2 * b), ["x", "more_0"]),
        (Further(lambda a, b: 2 * a), ["x", "more_0"]),
    ],
    ids=["all", "one", "further", "first-unused", "last-unused"],
)
@pytest.mark.parametrize("batch", [1, 3])
def test_any_number_of_inputs(module: Several, names: list[str], batch: int) -> None:
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal((batch, 3, 4, 4), np.float32) for name in names}
    graph = from_torch(module, [torch.zeros(2, 3, 4, 4) for _ in names])
    assert [info.name for info in graph.inputs] == names
    (got,) = reference.run(graph, feeds).values()
    np.testing.assert_allclose(got, module(*map(torch.from_numpy, feeds.values())), rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_amid_tracing_can_trace() -> None:
    entered, leave = threading.Event(), threading.Event()

    def trace() -> None:
        with silent_tracing():
            entered.set()
            leave.wait(120)

    other = threading.Thread(target=trace)
    other.start()
    assert entered.wait(120)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        with silent_tracing():
            os._exit(0)
    leave.set()
    other.join()
    assert os.waitpid(child, 0)[1] == 0
