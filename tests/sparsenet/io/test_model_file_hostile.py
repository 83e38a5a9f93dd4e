"""Files from strangers: each loads as a valid graph or is refused in one line; nothing else may happen."""

from __future__ import annotations

import copy
import hashlib
import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsenet.errors import ModelFileError
from sparsenet.graph.ops import OPS
from sparsenet.io.model_file import deserialize, load_graph, serialize
from tests.full import FULL
from tests.sparsenet.sample_graphs import assert_same_graph, minixception, quantized_tiny_graph, tiny_graph

Tensors = dict[str, tuple[str, bytes]]
SIZES = {"F32": 4, "F16": 2, "I8": 1, "U8": 1, "U16": 2, "U32": 4, "F64": 8, "BF16": 2}


def take_apart(data: bytes) -> tuple[dict[str, str], dict[str, Any], Tensors]:
    """Metadata, the graph's JSON document, and tensors as (safetensors dtype, bytes)."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    metadata = header.pop("__metadata__")
    tensors = {name: (t["dtype"], body[slice(*t["data_offsets"])]) for name, t in header.items()}
    return metadata, json.loads(metadata["graph"]), tensors


def put_together(
    metadata: dict[str, str], graph: str | dict[str, Any], tensors: Tensors, seal: bool = True
) -> bytes:
    """A file whose checksum is right, so that a test reaches what lies behind it."""
    text = graph if isinstance(graph, str) else json.dumps(graph)
    metadata = {**metadata, "graph": text}
    if seal:
        digest = hashlib.sha256(text.encode() + b"".join(tensors[name][1] for name in sorted(tensors)))
        metadata["sha256"] = digest.hexdigest()
    return assemble(metadata, tensors)


def assemble(metadata: Any, tensors: Tensors) -> bytes:
    header: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    for name, (dtype, raw) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": [len(raw) // SIZES[dtype]],
            "data_offsets": [offset, offset + len(raw)],
        }
        offset += len(raw)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(raw for _, raw in tensors.values())


def refused(data: bytes, match: str = ".") -> None:
    with pytest.raises(ModelFileError, match=match) as info:
        deserialize(data)
    assert "\n" not in str(info.value)
    assert len(str(info.value)) < 400


def loads_validly_or_is_refused(data: bytes) -> None:
    try:
        graph, _ = deserialize(data)
    except ModelFileError:
        return
    graph.verify()


@pytest.fixture(scope="module", params=["f32", "i8", "csr", "quantized"])
def good(request: pytest.FixtureRequest) -> bytes:
    if request.param == "csr":
        return serialize(tiny_graph(), "f32", "csr")
    if request.param == "quantized":
        return serialize(quantized_tiny_graph())
    return serialize(tiny_graph(), request.param)


def test_taking_apart_and_putting_together_changes_nothing(good: bytes) -> None:
    assert_same_graph(deserialize(put_together(*take_apart(good)))[0], deserialize(good)[0])


# --- damage -----------------------------------------------------------------------------------------------------


def test_every_truncation(good: bytes) -> None:
    for length in range(len(good)):
        refused(good[:length], "truncated")


@pytest.mark.parametrize("tail", [b"\0", b"x" * 100])
def test_anything_appended(good: bytes, tail: bytes) -> None:
    refused(good + tail, "truncated or not")


def test_every_single_flipped_bit_of_the_data_and_every_flipped_byte() -> None:
    data = serialize(tiny_graph(), "i8")
    (length,) = struct.unpack("<Q", data[:8])
    for position in range(8 + length, len(data)):
        for bit in range(8):
            broken = bytearray(data)
            broken[position] ^= 1 << bit
            refused(bytes(broken), "SHA-256")
    original = deserialize(data)[0]
    for position in range(8 + length):
        for change in (0x01, 0x20, 0xFF):
            broken = bytearray(data)
            broken[position] ^= change
            try:
                graph, _ = deserialize(bytes(broken))
            except ModelFileError:
                continue
            assert_same_graph(graph, original)  # white space at the header's end, say


@settings(max_examples=300)
@given(st.data())
def test_bytes_overwritten_anywhere(data: st.DataObject) -> None:
    raw = bytearray(serialize(tiny_graph()))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        graph, _ = deserialize(bytes(raw))
    except ModelFileError:
        return
    assert_same_graph(graph, tiny_graph())


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_random_bytes(raw: bytes) -> None:
    refused(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"PK\x03\x04" + b"\0" * 60,  # a PyTorch checkpoint
        b"\x80\x04\x95" + b"\0" * 60,  # a pickle
        b"\x08\x07\x12\x07pytorch" + b"\0" * 60,  # ONNX
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 4) + b"\xff\xfe{}",
    ],
)
def test_other_kinds_of_file(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(raw)
    with pytest.raises(ModelFileError, match=r"m\.safetensors: is (truncated or )?(not )?a safetensors file"):
        load_graph(path)


# --- tampering with a right checksum ----------------------------------------------------------------------------


@settings(max_examples=400)
@given(st.data())
def test_any_data_under_a_right_checksum(data: st.DataObject) -> None:
    """Whatever the numbers are: valid weights or a refusal, never a crash or an index out of range."""
    source = data.draw(st.sampled_from([("f32", "csr"), ("i8", "csr"), ("i8", None), ("f16", "bitmask")]))
    metadata, graph, tensors = take_apart(serialize(tiny_graph(), *source))
    name = data.draw(st.sampled_from(sorted(tensors)))
    dtype, raw = tensors[name]
    broken = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        broken[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    tensors[name] = (dtype, bytes(broken))
    loads_validly_or_is_refused(put_together(metadata, graph, tensors))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a JSON document."""
    found = [path]
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        found += places(child, (*path, key))
    return found


evil = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.sampled_from([2**31, 2**63, -(2**70), 10**30, 0.5, -0.0, 1e300]),
    st.sampled_from(
        ["", "conv2d", "concat", "relu", "csr_u32_u32", "bitmask", "i8", "\x1b[31m", "\ud800", "x" * 5000]
    ),
    st.sampled_from(
        [[], [[]], {}, {"": 1}, [-1], ["relu"], [["relu"]], [["add"]], [["affine"], 3], [1, 1], [0, 0, 0, 0]]
    ),
)


@settings(max_examples=1500 if FULL else 500)
@given(st.data())
def test_any_json_under_a_right_checksum(data: st.DataObject) -> None:
    metadata, graph, tensors = take_apart(serialize(tiny_graph()))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(graph)[1:]))
        parent: Any = graph
        for key in path[:-1]:
            parent = parent[key]
        action = data.draw(st.sampled_from(["replace", "delete", "double"]))
        if action == "replace":
            parent[path[-1]] = copy.deepcopy(data.draw(evil))  # may be changed further below
        elif action == "delete":
            del parent[path[-1]]
        elif isinstance(parent, list):
            parent.insert(path[-1], copy.deepcopy(parent[path[-1]]))
    loads_validly_or_is_refused(put_together(metadata, graph, tensors))


def test_every_op_with_every_attribute_replaced() -> None:
    """Attributes of every op, each set to every kind of value: refused, or a graph that verifies."""
    metadata, graph, tensors = take_apart(serialize(tiny_graph()))
    values = [
        None,
        True,
        -1,
        0,
        10**9,
        2**40,
        1.5,
        "x",
        [],
        [0],
        [1, 1],
        [0, 0, 0, 0],
        [10**9] * 4,
        {},
        [["relu"]],
    ]
    for op, schema in OPS.items():
        for inputs in ([0], [0, 1], [0, 1, 2], [0, 2, 3], [0, -1], [-1], [], [0, 2, 2, 2, 2], [1], [0, 0]):
            for name in (*schema.attrs, "epilogue", "unknown"):
                for value in values:
                    graph["nodes"] = [[op, "n", inputs, {name: value}]]
                    graph["outputs"] = [6]
                    loads_validly_or_is_refused(put_together(metadata, graph, tensors))


def edited(
    change: Callable[[dict[str, Any]], None], values: str = "f32", encoding: str | None = "csr"
) -> bytes:
    metadata, graph, tensors = take_apart(serialize(tiny_graph(), values, encoding))
    change(graph)
    return put_together(metadata, graph, tensors)


def set_at(*path: Any) -> Callable[[dict[str, Any]], None]:
    """A change that puts the last of ``path`` at the place the others name."""

    def change(graph: Any) -> None:
        for key in path[:-2]:
            graph = graph[key]
        graph[path[-2]] = path[-1]

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (set_at("nodes", 0, 2, 0, 6), r"node 'conv' refers to tensor 6; only 0 … 5 exist"),  # its own output
        (set_at("nodes", 0, 2, 0, 9), "refers to tensor 9"),  # a cycle
        (set_at("nodes", 0, 2, 0, -2), "refers to tensor -2"),
        (set_at("nodes", 0, 2, 0, True), "refers to tensor True"),
        (set_at("outputs", 0, 10), "outputs refers to tensor 10"),
        (set_at("nodes", 0, 0, "exec"), "unknown op 'exec'"),
        (set_at("nodes", 0, 3, "stride", [0, 0]), "stride must be"),
        (set_at("nodes", 0, 3, "stride", [1.5, 1]), "attribute 'stride'"),
        (set_at("nodes", 0, 3, "stride", [2**40, 1]), "attribute 'stride'"),
        (set_at("nodes", 0, 3, "padding", [2**30] * 4), "too large"),
        (set_at("nodes", 0, 3, "epilogue", [["exec"]]), "unknown epilogue step"),
        (set_at("nodes", 0, 3, "epilogue", [["add"]]), "broken graph"),
        (set_at("nodes", 1, 1, "conv"), "two nodes are named 'conv'"),
        (set_at("nodes", 2, ["relu"] * 7), "a node must be a list of 3 to 6 fields"),
        (set_at("constants", 0, 0, "image"), "defined twice"),
        (set_at("constants", 1, 0, "conv.weight"), "defined twice"),
        (set_at("constants", 0, 1, [2, 3, 3, 0]), "a shape is at most 32 positive integers"),
        (set_at("constants", 0, 1, [1] * 33), "a shape is at most 32"),
        (set_at("constants", 0, 1, [2**31, 3, 3, 3]), "a shape is at most 32 positive integers"),
        (set_at("constants", 0, 1, [2**20, 2**20, 3, 3]), "claims .* weights in .* bytes"),
        (
            set_at("constants", 0, 1, [3, 3, 3, 3]),
            "constant 'conv.weight' needs 15 more elements of 'indices_u16', which has 11",
        ),
        (set_at("constants", 0, 2, "pickle"), "constant 'conv.weight' has the unknown encoding 'pickle'"),
        (set_at("constants", 0, 2, "bitmask"), "needs 7 more elements of 'bitmasks', which has 0 left"),
        (set_at("inputs", 0, 1, [3, 0, 8]), "positive integers"),
        (set_at("inputs", 0, 1, [3, 2**30, 2**30]), "too large"),
        (set_at("inputs", 0, 0, ""), "empty name"),
        (set_at("inputs", 0, 0, "a\nb"), "printable"),
        (set_at("metadata", "classes", 3), "metadata must map text to text"),
        (set_at("surprise", 1), "must be an object with the keys"),
        (lambda graph: graph.pop("nodes"), "must be an object with the keys"),
        (lambda graph: graph["constants"].pop(), "refers to tensor|broken graph"),
        (lambda graph: graph["constants"].append(["more", [1]]), "constant 'more' needs 1 more elements"),
    ],
)
def test_each_lie_in_the_graph_is_named(change: Callable[[dict[str, Any]], None], message: str) -> None:
    refused(edited(change), message)


@pytest.mark.parametrize(
    "change, message",
    [
        (set_at("quantization", {}), "quantization must be a list"),
        (set_at("quantization", 0, 0), "a quantization must be a list of 2 to 3 fields"),
        (set_at("quantization", 0, [0]), "a quantization must be a list of 2 to 3 fields"),
        (set_at("quantization", 0, 0, 99), "quantization refers to tensor 99"),
        (set_at("quantization", 0, 0, -1), "quantization refers to tensor -1"),
        (set_at("quantization", 0, 0, 6), "'conv' is quantized twice"),
        (set_at("quantization", 0, 0, 1), "'conv.weight' is quantized twice"),
        (set_at("quantization", 0, 1, 0), "the quantization of 'image' has a scale outside"),
        (set_at("quantization", 0, 1, -0.5), "the quantization of 'image' has a scale outside"),
        (set_at("quantization", 0, 1, 1e-45), "the quantization of 'image' has a scale outside"),
        (set_at("quantization", 0, 1, 1e300), "the quantization of 'image' has a scale outside"),
        (set_at("quantization", 0, 1, "1"), "the quantization of 'image' cannot be"),
        (set_at("quantization", 0, 1, [1.0, 1.0, 1.0]), "the quantization of 'image' cannot be"),
        (set_at("quantization", 0, 2, 256), "the quantization of 'image' has the zero point 256"),
        (set_at("quantization", 0, 2, -1), "the quantization of 'image' has the zero point -1"),
        (set_at("quantization", 0, 2, 1.5), "the quantization of 'image' cannot be"),
        (set_at("quantization", 0, 2, True), "the quantization of 'image' cannot be"),
        (set_at("constants", 0, 3, "i8_column"), "'conv.weight' has unknown values 'i8_column'"),
        (set_at("constants", 0, 3, "i8_tensor"), "1 elements in 'scales_f32' that belong to no"),
        (
            set_at("constants", 3, 3, "i8_row"),
            "'fc.weight' needs 3 more elements of 'scales_f32', which has 1",
        ),
        (set_at("constants", 0, 3, "i8"), "'conv.weight' needs 2 more elements of 'scales'"),
    ],
)
def test_each_lie_in_a_quantization_is_named(change: Callable[[dict[str, Any]], None], message: str) -> None:
    metadata, graph, tensors = take_apart(serialize(quantized_tiny_graph()))
    change(graph)
    refused(put_together(metadata, graph, tensors), message)


@pytest.mark.parametrize("scale", [0.0, -1.0, 1e-45, np.nan, np.inf, 3e38])
def test_scales_of_a_weight_that_are_none(scale: float) -> None:
    metadata, graph, tensors = take_apart(serialize(quantized_tiny_graph()))
    tensors["scales_f32"] = pool("F32", 1.0, scale, 1.0)
    refused(
        put_together(metadata, graph, tensors), "constant 'conv.weight' has a scale outside of 1.18e-38 to"
    )


def test_a_quantized_weight_that_overflows() -> None:
    metadata, graph, tensors = take_apart(serialize(quantized_tiny_graph()))
    tensors["scales_f32"] = pool("F32", 1.0, 8e37, 1.0)
    refused(put_together(metadata, graph, tensors), "constant 'conv.weight' decodes to infinity")


def test_quantized_tensors_need_version_2() -> None:
    metadata, graph, tensors = take_apart(serialize(quantized_tiny_graph()))
    metadata["format_version"] = "1"
    refused(put_together(metadata, graph, tensors), "has format version 1, but quantized tensors")


def pool(dtype: str, *numbers: float) -> tuple[str, bytes]:
    types = {"F32": "<f4", "F16": "<f2", "I8": "i1", "U8": "u1", "U16": "<u2"}
    return dtype, np.array(numbers, types[dtype]).tobytes()


CSR_INDICES = (0, 2, 3, 15, 19, 0, 0, 2, 3, 5, 0, 1, 1, 0, 1)  # conv: offsets, columns; then fc
TOO_LONG = (*CSR_INDICES, 7)


def broken_indices(position: int, value: int) -> tuple[str, bytes]:
    numbers = list(CSR_INDICES)
    numbers[position] = value
    return pool("U16", *numbers)


def test_csr_indices_are_where_the_tests_below_expect_them() -> None:
    _, _, tensors = take_apart(serialize(tiny_graph(), "f32", "csr"))
    assert tensors["indices_u16"] == pool("U16", *CSR_INDICES)


@pytest.mark.parametrize(
    "source, name, tensor, message",
    [
        (
            ("f32", "csr"),
            "indices_u16",
            broken_indices(0, 1),
            "'conv.weight' has row offsets that do not start at 0",
        ),
        (("f32", "csr"), "indices_u16", broken_indices(1, 4), "'conv.weight' has row offsets that .* fall"),
        (("f32", "csr"), "indices_u16", broken_indices(2, 60000), "'conv.weight' needs 60000 more elements"),
        (
            ("f32", "csr"),
            "indices_u16",
            broken_indices(4, 27),
            "'conv.weight' has column indices outside 0 … 26",
        ),
        (
            ("f32", "csr"),
            "indices_u16",
            broken_indices(4, 11),
            "'conv.weight' has column indices that repeat",
        ),
        (
            ("f32", "csr"),
            "indices_u16",
            pool("U16", *TOO_LONG),
            "1 elements in 'indices_u16' that belong to no",
        ),
        (
            ("f32", "csr"),
            "indices_u16",
            pool("F16", *CSR_INDICES),
            "the tensor 'indices_u16', which no model file",
        ),
        (
            ("i8", None),
            "bitmasks",
            pool("U8", 0, 8, 8, 8, 0, 0, 0xC0),
            "'conv.weight' has bits set beyond the end",
        ),
        (("i8", None), "bitmasks", pool("U8", 255, 255, 255, 255, 255, 255, 63), "needs 54 more elements"),
        (
            ("i8", None),
            "bitmasks",
            pool("U8", 0, 8, 8, 0, 0, 0, 0),
            "1 elements in 'values_i8' that belong to no",
        ),
        (("i8", None), "scales", pool("U16", 0x3F80, 0x7F80, 1, 1, 1), "'conv.weight' has a scale"),
        (("i8", None), "scales", pool("U16", 0x7F7F, 0x7F7F, 1, 1, 1), "'conv.weight' decodes to infinity"),
        (
            ("i8", None),
            "values_i8",
            pool("I8", -128, 1, 1, 1, 1, 1, 1, 1, 1),
            "'conv.weight' holds the value -128",
        ),
        (("f16", None), "surprise", pool("F16", 1), "the tensor 'surprise'"),
        (("f16", None), "values_i8", ("I8", b""), "the tensor 'values_i8'"),
    ],
)
def test_each_lie_in_the_numbers_is_named(
    source: tuple[str, str | None], name: str, tensor: tuple[str, bytes], message: str
) -> None:
    metadata, graph, tensors = take_apart(serialize(tiny_graph(), *source))
    tensors[name] = tensor
    refused(put_together(metadata, graph, tensors), message)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers(number: float) -> None:
    metadata, graph, tensors = take_apart(serialize(tiny_graph(), "f32", "dense"))
    raw = bytearray(tensors["values_f32"][1])
    raw[8:12] = struct.pack("<f", number)
    tensors["values_f32"] = ("F32", bytes(raw))
    refused(put_together(metadata, graph, tensors), "'conv.weight' holds NaN or infinity")


def test_a_missing_tensor() -> None:
    metadata, graph, tensors = take_apart(serialize(tiny_graph(), "f32", "dense"))
    del tensors["values_f32"]
    refused(put_together(metadata, graph, tensors), "'conv.weight' needs 54 more elements of 'values_f32'")


# --- header and version -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("format", None, "not a sparsenet model"),
        ("format", "pt", "not a sparsenet model"),
        ("format_version", "3", "has format version 3; this sparsenet reads 1 to 2: upgrade it"),
        ("format_version", "0", "unknown format version '0'"),
        ("format_version", "1.5", "unknown format version"),
        ("format_version", None, "unknown format version ''"),
        ("format_version", "9" * 10000, "unknown format version"),
        ("format_version", "²", "unknown format version"),
        ("graph", None, "lacks 'graph'"),
        ("sha256", None, "lacks 'sha256'"),
        ("sha256", "", "does not match"),
    ],
)
def test_metadata(key: str, value: str | None, message: str) -> None:
    metadata, _, tensors = take_apart(serialize(tiny_graph()))
    if value is None:
        del metadata[key]
    else:
        metadata[key] = value
    refused(assemble(metadata, tensors), message)


def test_a_file_of_another_format_is_known_by_it_before_its_tensors() -> None:
    data = assemble({"format": "weights"}, {"conv.weight": ("F32", b"\0" * 8)})
    refused(data, "not a sparsenet model; make one with `sparsenet convert`")


@pytest.mark.parametrize("metadata", [None, {}, [], "x", {"format": 1}, {"format": ["sparsenet"]}])
def test_metadata_of_the_wrong_kind(metadata: Any) -> None:
    refused(assemble(metadata, {}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        "[" * 100_000,
        '{"name":' * 50_000,
        '{"name":NaN}',
        '{"name":"a","name":"b"}',
        '{"name":' + "9" * 10_000 + "}",
        "\x00",
    ],
)
def test_graph_text_that_is_no_graph(text: str) -> None:
    metadata, _, tensors = take_apart(serialize(tiny_graph()))
    refused(put_together(metadata, text, tensors))


def test_huge_number_in_an_unknown_header_field() -> None:
    """Rust's JSON reader skips it; Python's refuses to parse so many digits."""
    header = b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":' + b"9" * 5000 + b"}}"
    refused(struct.pack("<Q", len(header)) + header)


# --- memory -----------------------------------------------------------------------------------------------------


def test_a_tiny_file_cannot_fill_the_memory() -> None:
    """One row of CSR with no values costs four bytes, however many columns it claims."""
    metadata, graph, _ = take_apart(serialize(tiny_graph()))
    graph["constants"] = [["w", [1, 2**31 - 1], "csr_u32_u16"]]
    graph["nodes"], graph["outputs"] = [], [0]
    data = put_together(metadata, graph, {"indices_u16": pool("U16", 0, 0)})
    tracemalloc.start()
    refused(data, "claims 2147483647 weights in")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_large_layer_of_zeros_is_no_lie() -> None:
    graph = minixception((8,))
    graph.constants["fc.weight"][:] = 0
    graph.constants["exit.sepconv.pointwise.weight"][:] = 0
    assert not deserialize(serialize(graph))[0].constants["fc.weight"].any()
