"""ONNX files from strangers: what they claim is held against limits before it is believed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import FunctionProto, NodeProto, TensorProto, helper, numpy_helper

from converters import from_onnx
from converters.onnx import isolated
from sparsenet.errors import MemoryLimitError, ModelFileError, SparsenetError, UnsupportedOpError
from tests.converters.onnx.models import model, node, weights


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "4M")


def constant(name: str, *values: int) -> NodeProto:
    return helper.make_node(
        "Constant", [], [name], name=name, value=numpy_helper.from_array(np.array(values, np.int64))
    )


def function(name: str, *calls: str) -> FunctionProto:
    """x → y through a chain of calls, or Relu."""
    names = ["x", *(f"t{i}" for i in range(len(calls) - 1)), "y"]
    nodes = [
        helper.make_node(call, [a], [b], domain="" if call == "Relu" else "own")
        for call, a, b in zip(calls, names[:-1], names[1:], strict=True)
    ]
    return helper.make_function("own", name, ["x"], ["y"], nodes, [helper.make_opsetid("", 18)])


def calling(name: str, *functions: FunctionProto) -> onnx.ModelProto:
    proto = model([helper.make_node(name, ["x"], ["y"], domain="own")])
    proto.opset_import.append(helper.make_opsetid("own", 1))
    proto.functions.extend(functions)
    return proto


def test_functions_are_written_out() -> None:
    graph = from_onnx(calling("twice", function("once", "Relu"), function("twice", "once", "once")))
    assert {n.op for n in graph.nodes} == {"relu"}


def test_functions_that_multiply_are_counted_first() -> None:
    layers = [function(f"f{i}", f"f{i - 1}", f"f{i - 1}") for i in range(1, 40)]
    with pytest.raises(
        UnsupportedOpError, match=r"has \d{12,} nodes, its functions inlined; the limit is 65536"
    ):
        from_onnx(calling("f39", function("f0", "Relu"), *layers))


@pytest.mark.parametrize("functions", [{"a": "a"}, {"a": "b", "b": "c", "c": "a"}])
def test_functions_that_call_themselves(functions: dict[str, str]) -> None:
    bodies = [function(name, call) for name, call in functions.items()]
    with pytest.raises(UnsupportedOpError, match="'a' of the model calls itself"):
        from_onnx(calling("a", *bodies))


def test_functions_nested_too_deep() -> None:
    chain = [function(f"f{i}", f"f{i - 1}") for i in range(1, 2000)]
    with pytest.raises(UnsupportedOpError, match="nested too deep"):
        from_onnx(calling("f1999", function("f0", "Relu"), *chain))


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize(
    "nodes, constants",
    [
        ([constant("s", 2**20, 2**20), node("ConstantOfShape", "s", "big"), node("Add", "x big")], {}),
        ([constant("s", 2**11, 2**11), node("Expand", "one s", "big"), node("Add", "x big")], {"one": weights(1)}),
        ([node("MatMul", "a b", "big"), node("Add", "x big")], {"a": weights(2000, 1), "b": weights(1, 2000)}),
        ([node("Gather", "a i", "big"), node("Add", "x big")], {"a": weights(2, 5000), "i": np.zeros(900, np.int64)}),
        # None is too large, all together are.
        ([constant("s", 2**17), *(node("ConstantOfShape", "s", f"b{i}") for i in range(9)), node("Add", "x b0")], {}),
        ([constant("p", 0, 0, 3000, 90, 0, 0, 3000, 90), node("Pad", "x p")], {}),
        ([node("Resize", "x _ s")], {"s": np.array([1, 1, 300, 300], np.float32)}),
        ([node("Resize", "x _ s", mode="cubic")], {"s": np.array([1, 1, 20000, 1], np.float32)}),
        ([node("ConvTranspose", "x k", strides=[500, 500])], {"k": weights(4, 2, 3, 3)}),
        ([node("ConvTranspose", "x k", dilations=[5000, 5000])], {"k": weights(4, 2, 3, 3)}),
    ],
    ids=["constant", "expand", "product", "gather", "many", "pad", "resize", "cubic", "strides", "dilations"],
)  # fmt: skip
def test_no_node_makes_more_than_the_limit(nodes: list[NodeProto], constants: dict[str, np.ndarray]) -> None:
    with pytest.raises(MemoryLimitError, match="more than the limit of 4096 KiB; set SPARSENET_MAX_MEMORY"):
        from_onnx(model(nodes, constants))


@pytest.mark.usefixtures("small_limit")
def test_a_sparse_initializer_of_a_billion_zeros() -> None:
    proto = model([node("Add", "x big")])
    sparse = proto.graph.sparse_initializer.add(dims=[2**15, 2**15])
    sparse.values.CopyFrom(numpy_helper.from_array(weights(1), "big"))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.zeros(1, np.int64), "at"))
    with pytest.raises(MemoryLimitError, match=r"sparse tensor 'big' of shape \(32768, 32768\)"):
        from_onnx(proto)


def test_a_model_that_stops_onnx_itself() -> None:
    """A window larger than its image makes onnx infer a negative size; to slice that, it aborts the process."""
    slicing = [constant("s", 0), constant("e", 2), constant("a", 2), node("Slice", "b s e a", "c")]
    proto = model([node("Conv", "x k", "b"), *slicing, node("NonZero", "c")], {"k": weights(4, 4, 20, 20)})
    with pytest.raises(UnsupportedOpError, match="'Conv_b'"):
        from_onnx(proto)


@pytest.mark.parametrize("name", ["a" * 2000, "\x1b[31mred", "two\nlines"])
def test_names_are_printable_and_not_endless(name: str) -> None:
    with pytest.raises(ModelFileError, match="names must be printable text and have at most 1024") as info:
        from_onnx(model([node("Relu", "x", "a"), helper.make_node("Relu", ["a"], ["y"], name=name)]))
    assert str(info.value).isprintable()


@pytest.mark.parametrize("text", [b"xx", b"Relu_y", b"w.bin"])
def test_text_that_is_no_utf8(tmp_path: Path, text: bytes) -> None:
    """protobuf reads it all the same."""
    path = tmp_path / "m.onnx"
    external(path, "w.bin", 9)
    proto = onnx.load(path, load_external_data=False)
    proto.graph.node.append(node("Relu", "y0", "xx"))
    proto.graph.node[-1].name = "Relu_y"
    data = proto.SerializeToString()
    assert text in data
    path.write_bytes(data.replace(text, b"\xff" * len(text)))
    with pytest.raises(ModelFileError, match=r"names must be printable text|damaged description"):
        from_onnx(path)


# --- files beside the model -------------------------------------------------------------------------------------


def external(path: Path, location: str, size: int, count: int = 1) -> None:
    """A model at ``path`` with ``count`` initializers of ``size`` floats, all kept at ``location``."""
    names = [f"w{i}" for i in range(count)]
    proto = model([node("Add", f"{'x' if i == 0 else f'y{i - 1}'} {n}", f"y{i}") for i, n in enumerate(names)],
                  outputs=[f"y{count - 1}"])  # fmt: skip
    for name in names:
        tensor = proto.graph.initializer.add(name=name, dims=[size], data_type=TensorProto.FLOAT)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
    path.write_bytes(proto.SerializeToString())


@pytest.mark.usefixtures("small_limit")
def test_the_same_file_claimed_over_and_over(tmp_path: Path) -> None:
    """Ten lines of model may not turn one megabyte into ten."""
    (tmp_path / "w.bin").write_bytes(bytes(2**20))
    external(tmp_path / "m.onnx", "w.bin", 2**18, count=10)
    with pytest.raises(MemoryLimitError, match="external data of the model would take 5120 KiB"):
        from_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "location", ["../w.bin", "sub/../../w.bin", "/etc/passwd", "..\\w.bin", "link/w.bin", "w\0.bin"]
)
def test_nothing_outside_the_folder_is_read(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(bytes(36))
    (folder / "link").symlink_to(tmp_path)
    external(folder / "m.onnx", location, 9)
    with pytest.raises(
        ModelFileError, match=r"points outside the model's folder|passes through the symbolic link"
    ):
        from_onnx(folder / "m.onnx")


def test_data_of_a_subgraph_is_no_exception(tmp_path: Path) -> None:
    """onnx itself would read it, relative to the current folder."""
    tensor = TensorProto(name="v", dims=[9], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../w.bin")
    inner = helper.make_graph(
        [node("Add", "x v", "i")], "b", [], [helper.make_tensor_value_info("i", 1, None)], [tensor]
    )
    condition = helper.make_node("If", ["c"], ["y"], name="if", then_branch=inner, else_branch=inner)
    (tmp_path / "w.bin").write_bytes(bytes(36))
    (tmp_path / "model").mkdir()
    path = tmp_path / "model" / "m.onnx"
    path.write_bytes(model([condition], {"c": np.array(True)}).SerializeToString())
    with pytest.raises(ModelFileError, match="points outside the model's folder"):
        from_onnx(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.onnx")
    with pytest.raises(SparsenetError, match="not a regular file"):
        from_onnx(tmp_path / "m.onnx")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_an_interrupt_at_the_fork_is_the_parents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The child must not take it for its own and go on in its parent's program."""
    fork, here, children = os.fork, os.getpid(), []

    def interrupted() -> int:
        child = fork()
        signal.raise_signal(signal.SIGINT)
        if child:
            children.append(child)
        return child

    monkeypatch.setattr(os, "fork", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            isolated._apart(bytes, b"x")
    finally:
        if os.getpid() != here:
            (tmp_path / "astray").touch()
            os._exit(1)
        signal.signal(signal.SIGINT, before)
    with pytest.raises(ChildProcessError):
        os.waitpid(children[0], os.WNOHANG)  # it has been waited for
    assert not (tmp_path / "astray").exists()


def test_where_no_process_can_fork_onnx_runs_in_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[2,3] x) => (y) { y = Relu(x) }'
    )
    monkeypatch.delattr(os, "fork")
    inferred = isolated.infer_shapes(model)
    assert inferred is not None
    assert [d.dim_value for d in inferred.output[0].type.tensor_type.shape.dim] == [2, 3]
