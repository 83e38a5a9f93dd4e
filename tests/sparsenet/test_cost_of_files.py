"""Small model files that ask for much: refused or planned in the time that their bytes are worth."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from sparsenet.errors import MemoryLimitError, ModelFileError, SparsenetError
from sparsenet.io.model_file import deserialize
from sparsenet.limits import MAX_CONSTANTS, MAX_NODES, MAX_OPERANDS
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan
from tests.fuzz.cost import Meter
from tests.sparsenet.io.test_model_file_hostile import put_together

METADATA = {"format": "sparsenet", "format_version": "1"}
MAP = [["x", [3, 8, 8]]]


def file(
    inputs: list[Any],
    nodes: list[Any],
    outputs: list[int],
    constants: tuple[Any, ...] = (),
    **pools: np.ndarray,
) -> bytes:
    graph = {"name": "t", "inputs": inputs, "constants": list(constants), "nodes": nodes, "outputs": outputs}
    kinds = {"float32": "F32", "uint16": "U16", "uint8": "U8"}
    return put_together(METADATA, graph, {n: (kinds[a.dtype.name], a.tobytes()) for n, a in pools.items()})  # fmt: skip


def one(op: str, attributes: dict[str, Any], inputs: tuple[int, ...] = (0,)) -> bytes:
    return file(MAP, [[op, "r", list(inputs), attributes]], [1])


def chain(op: str, count: int, name: str = "r") -> bytes:
    return file(MAP, [[op, f"{name}{i}", [i]] for i in range(count)], [count])


TOO_LARGE = {
    "nodes": chain("relu", MAX_NODES + 1),
    "inputs of nodes": file([["x", [1]]], [["concat", "c", [0] * (MAX_OPERANDS + 1)]], [1]),
    "constants": file(
        MAP, [["relu", "r", [0]]], [1], tuple([f"c{i}", [1]] for i in range(MAX_CONSTANTS + 1))
    ),
    "inputs and outputs": file([[f"x{i}", [1]] for i in range(40_000)], [["relu", "r", [0]]], [40_000]),
}
MANY = 2**31 - 1
REFUSED = {
    "sizes": one("reshape", {"shape": [MANY] * 200_000}),
    "expanded": one("expand", {"shape": [MANY] * 200_000}),
    "order": one("transpose", {"perm": list(range(200_000))}),
    "axes": one("reduce", {"kind": "sum", "axes": [1] * 200_000}),
    "words": one("add", {"epilogue": [["relu"]] * 200_000}, (0, 0)),
    "numbers": one("add", {"epilogue": [["clip", *[1] * 200_000]]}, (0, 0)),
    "operands": file(MAP, [["add", "r", [0] * 100_000]], [1]),
    "rank": file([["x", [1] * 100_000]], [["relu", "r", [0]]], [1]),
    "scale": one("resize", {"scale": [1e308, 1.0]}),
    "both": one("resize", {"scale": [1e308, 1e308]}),
    "small": one("resize", {"scale": [5e-324, 1.0]}),
}
WEIGHT = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
PLANNED = {
    "alive": file(
        [["x", [4]]], [["relu", f"r{i}", [0]] for i in range(8000)] + [["concat", "c", list(range(1, 8001))]], [8001]
    ),
    "deep": chain("sigmoid", 3000),
    "names": chain("relu", 200, "n" * 1000),
    "wide": file([["x", [1]]], [["concat", "c", [0] * 5000]], [1]),
    "outputs": file([["x", [1]]], [["relu", "r", [0]]], [1] * 2000),
    "readers": file(MAP, [["sigmoid", f"r{i}", [0]] for i in range(3000)], [3000]),
    "weight": file(
        MAP, [["conv2d", f"r{i}", [0, 1]] for i in range(3000)], [3001], (["w", [8, 3, 3, 3]],), values_f32=WEIGHT
    ),
    # 4 million zeros in 2 kB of file, read by all.
    "zeros": file(
        [["x", [4096]]], [["linear", f"r{i}", [0, 1]] for i in range(1000)], [1001],
        (["w", [1024, 4096], "csr_u16_u16"],), indices_u16=np.zeros(1025, np.uint16),
    ),
    "lines": file(
        [["x", [1, 100_000, 8]]],
        [["max_pool2d", "p", [0], {"kernel": [3, 1], "stride": [1, 1]}], ["resize", "r", [1], {"scale": [2, 1]}]],
        [2],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TOO_LARGE)
def test_what_is_too_large_is_counted_before_it_is_read(what: str) -> None:
    meter = Meter(len(TOO_LARGE[what]))
    with pytest.raises(MemoryLimitError, match=rf"^the graph has \d+ {what}, the limit is \d+$"):
        deserialize(TOO_LARGE[what])
    meter.check(None)


@pytest.mark.parametrize("what", REFUSED)
def test_endless_lists_and_endless_numbers_are_refused_in_one_line(what: str) -> None:
    meter = Meter(len(REFUSED[what]))
    with pytest.raises(ModelFileError) as caught:
        deserialize(REFUSED[what])
    meter.check(None)
    assert len(str(caught.value)) <= 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("what", PLANNED)
def test_large_networks_are_planned_in_the_time_they_are_worth(what: str) -> None:
    meter = Meter(len(PLANNED[what]))
    graph, _ = deserialize(PLANNED[what])
    make_plan(graph, Options())
    meter.check(graph)


def test_weights_that_all_layers_share_are_packed_once() -> None:
    weight = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    for zeros in (0.0, 0.8):
        weight[np.random.default_rng(1).random(weight.shape) < zeros] = 0
        nodes = [["linear", f"l{i}", [i and i + 1, 1]] for i in range(50)]
        data = file([["x", [256]]], nodes, [51], (["w", [256, 256]],), values_f32=weight)
        assert make_plan(deserialize(data)[0], Options()).weights.nbytes < 3 * weight.nbytes


NUMBERS = ["1e999", "-1e999", "1" + "0" * 400, "1" + "0" * 5000, "NaN", "Infinity", "-Infinity", "1.0", "true",
           "2147483648", "-2147483649", "1e3", "null", '"1"', "[1]"]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda text: text[:12])
@pytest.mark.parametrize("place", ["input", "constant", "operand", "output", "integer", "list"])
def test_numbers_that_are_no_integers_of_the_format_are_refused(place: str, number: str) -> None:
    graph = {
        "name": "t",
        "inputs": [["x", [7001, 8, 8]]],
        "constants": [["c", [7002]]],
        "nodes": [
            ["softmax", "s", [7003], {"axis": 7004}],
            ["max_pool2d", "p", [2], {"kernel": [7005, 1], "stride": [1, 1]}],
        ],
        "outputs": [7006],
    }  # fmt: skip
    real = {
        "input": "7001",
        "constant": "7002",
        "operand": "7003",
        "integer": "7004",
        "list": "7005",
        "output": "7006",
    }
    text = json.dumps(graph).replace(real[place], number)
    for word, usual in zip(real.values(), ("3", "4", "0", "1", "1", "3"), strict=True):
        text = text.replace(word, usual)
    data = put_together(METADATA, text, {"values_f32": ("F32", np.ones(4, np.float32).tobytes())})
    with pytest.raises(SparsenetError) as caught:
        deserialize(data)
    assert len(str(caught.value)) <= 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400, "NaN", "1e39", "true", "null", '"1"'])
def test_floats_beyond_what_they_may_be_are_refused(number: str) -> None:
    text = json.dumps(json.loads(_graph_of(one("leaky_relu", {"slope": 7001})))).replace("7001", number)
    with pytest.raises(ModelFileError):
        deserialize(put_together(METADATA, text, {}))


def test_minus_zero_is_a_number() -> None:
    for number in ("-0", "-0.0", "0e999"):
        text = _graph_of(one("leaky_relu", {"slope": 7001})).replace("7001", number)
        graph, _ = deserialize(put_together(METADATA, text, {}))
        assert graph.nodes[0].attrs["slope"] == 0


def _graph_of(data: bytes) -> str:
    length = int.from_bytes(data[:8], "little")
    text: str = json.loads(data[8 : 8 + length])["__metadata__"]["graph"]
    return text


INDEX_ENDS = (0, 1, 2, 8, 9, 127, 128, 254, 255)


@pytest.mark.parametrize("encoding", ["csr_u16_u16", "csr_u32_u32", "bitmask"])
def test_every_byte_of_an_index_section_may_be_wrong(encoding: str) -> None:
    """Under a right checksum: refused, or read as the matrix that it then means, with nothing outside it."""
    weight = np.zeros((5, 9), np.float32)
    weight[[0, 0, 2, 4, 4], [0, 8, 3, 1, 7]] = [1, 2, 3, 4, 5]
    rows, columns = np.nonzero(weight)
    if encoding == "bitmask":
        name, index = "bitmasks", np.packbits(weight != 0, bitorder="little")
    else:
        offsets = [0, *np.cumsum(np.count_nonzero(weight, axis=1))]
        name = f"indices_{encoding[-3:]}"
        index = np.array([*offsets, *columns], np.uint16 if encoding.endswith("16") else np.uint32)
    kind = {1: "U8", 2: "U16", 4: "U32"}[index.itemsize]
    graph = {
        "name": "t", "inputs": [["x", [9]]], "constants": [["w", [5, 9], encoding]],
        "nodes": [["linear", "l", [0, 1]]], "outputs": [2],
    }  # fmt: skip
    values = ("F32", weight[rows, columns].tobytes())
    raw, read = index.tobytes(), 0

    def constant(section: bytes) -> np.ndarray:
        data = put_together(METADATA, graph, {name: (kind, section), "values_f32": values})
        return deserialize(data)[0].constants["w"]

    np.testing.assert_array_equal(constant(raw), weight)
    for at in range(len(raw)):
        for byte in INDEX_ENDS:
            broken = raw[:at] + bytes([byte]) + raw[at + 1 :]
            try:
                found = constant(broken)
            except ModelFileError:
                continue
            read += 1
            assert sorted(found[found != 0]) == [1, 2, 3, 4, 5]
    assert 0 < read < len(raw) * len(INDEX_ENDS)
