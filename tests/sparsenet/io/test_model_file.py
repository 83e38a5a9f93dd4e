"""Saving and loading: nothing lost, the bytes as documented, the file replaced at once or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import stat
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import sparsenet
from sparsenet import Engine, Graph, Node, TensorInfo, reference
from sparsenet.errors import GraphError, ModelFileError
from sparsenet.graph.constants import encoded
from sparsenet.graph.kept_graph import KeptGraph
from sparsenet.graph.ops import MAX_RANK, OPS, REQUIRED
from sparsenet.graph.quantization import Quantization
from sparsenet.io import model_file
from sparsenet.io.formats.storage import StoredWeight
from sparsenet.io.model_file import deserialize, load_graph, save, serialize, stored_constants
from tests.sparsenet.sample_graphs import assert_same_graph, minixception, quantized_tiny_graph, tiny_graph

GOLDEN = Path(__file__).parents[1] / "golden"
VALUES = ("f32", "f16", "i8")


def test_public_names() -> None:
    assert sparsenet.save is save
    assert sparsenet.load_graph is load_graph


@pytest.mark.parametrize("values", ["f32", "f16"])
@pytest.mark.parametrize("encoding", [None, "dense", "bitmask", "csr"])
def test_tiny_graph_comes_back(tmp_path: Path, values: str, encoding: str | None) -> None:
    path = tmp_path / "m.safetensors"
    save(tiny_graph(), path, values, encoding=encoding)
    assert_same_graph(load_graph(path), tiny_graph())


@pytest.mark.parametrize("values, tolerance", [("f32", 0.0), ("f16", 2e-3), ("i8", 5e-2)])
def test_network_computes_the_same_after_storage(values: str, tolerance: float) -> None:
    graph = minixception((16,))
    graph.inputs = [TensorInfo("input", (None, 3, 32, 32))]
    x = np.random.default_rng(1).standard_normal((1, 3, 32, 32)).astype(np.float32)
    before = reference.run(graph, {"input": x})["fc"]
    after = reference.run(deserialize(serialize(graph, values))[0], {"input": x})["fc"]
    assert np.abs(after - before).max() <= tolerance * np.abs(before).max()


elements = st.one_of(st.just(0.0), st.floats(-60000, 60000, width=32))


@given(
    weight=npst.arrays(np.float32, st.tuples(*[st.integers(1, 4)] * 4), elements=elements),
    other=npst.arrays(np.float32, npst.array_shapes(min_dims=0, max_dims=3, max_side=4), elements=elements),
    names=st.lists(st.text("abc. ü/", min_size=1), min_size=4, max_size=4, unique=True),
    slope=st.floats(-1, 1),
    values=st.sampled_from(VALUES),
)
def test_any_graph_comes_back(
    weight: np.ndarray, other: np.ndarray, names: list[str], slope: float, values: str
) -> None:
    x, w, c, y = names
    graph = Graph(
        x + y,
        [TensorInfo(x, (None, weight.shape[1], 5, 6))],
        [y],
        [
            Node(
                "conv2d", w, [x, w], [w + x], {"padding": [3, 3, 3, 3], "epilogue": [["leaky_relu", slope]]}
            ),
            Node("relu", y, [w + x], [y]),
        ],
        {w: weight, c: other},
    )
    data = serialize(graph, values)
    again, stored = deserialize(data)
    assert data == serialize(graph, values)
    assert [s.name for s in stored] == [w, c]
    if values == "f32":
        assert_same_graph(again, graph)
    else:  # what storage did to the values is tested with the formats; zeros stay, everything else is as it was
        assert (again.constants[w][weight == 0] == 0).all()
        again.constants = graph.constants
        assert_same_graph(again, graph)


# --- the bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", VALUES)
def test_golden_bytes(values: str) -> None:
    """Version 1 must be written, and stay readable, exactly like this for ever."""
    path = GOLDEN / f"tiny_{values}.safetensors"
    assert serialize(tiny_graph(), values) == path.read_bytes()
    graph = load_graph(path)
    expected = tiny_graph()
    if values == "i8":  # -2.0 / (4 · …) and the like are not multiples of the scale
        for name in ("conv.weight", "fc.weight"):
            np.testing.assert_allclose(graph.constants[name], expected.constants[name], atol=0.04)
            expected.constants[name] = graph.constants[name]
    assert_same_graph(graph, expected)


def test_golden_csr_bytes() -> None:
    path = GOLDEN / "tiny_csr.safetensors"
    assert serialize(tiny_graph(), "f32", "csr") == path.read_bytes()
    assert_same_graph(load_graph(path), tiny_graph())


def test_golden_quantized_bytes() -> None:
    path = GOLDEN / "tiny_quantized.safetensors"
    assert serialize(quantized_tiny_graph()) == path.read_bytes()
    assert_same_graph(load_graph(path), quantized_tiny_graph())


def read_as_documented(data: bytes) -> dict[str, np.ndarray]:
    """All constants, read by nothing but docs/model_file.md; shares no code with the package."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    metadata = header.pop("__metadata__")
    types = {"F32": "<f4", "F16": "<f2", "I8": "<i1", "U8": "<u1", "U16": "<u2", "U32": "<u4"}
    pools = {n: np.frombuffer(body[slice(*t["data_offsets"])], types[t["dtype"]]) for n, t in header.items()}
    digest = hashlib.sha256(metadata["graph"].encode() + b"".join(pools[n].tobytes() for n in sorted(pools)))
    assert digest.hexdigest() == metadata["sha256"]
    used = dict.fromkeys(pools, 0)

    def take(pool: str, count: int) -> np.ndarray:
        if not count:
            return np.zeros(0)
        used[pool] += count
        return pools[pool][used[pool] - count : used[pool]]

    constants = {}
    for name, shape, *storage in json.loads(metadata["graph"])["constants"]:
        encoding, values = (*storage, *("dense", "f32")[len(storage) :])
        rows, size = shape[0], int(np.prod(shape))
        matrix = np.zeros((rows, size // rows), np.float32)
        scales = take("scales", rows) if values == "i8" else None
        if values in ("i8_row", "i8_tensor"):
            steps = take("scales_f32", rows if values == "i8_row" else 1)
            values = "i8"
        if encoding == "dense":
            matrix[:] = take(f"values_{values}", size).reshape(matrix.shape)
        elif encoding == "bitmask":
            bits = take("bitmasks", (size + 7) // 8)
            kept = [i for i in range(size) if bits[i // 8] >> (i % 8) & 1]
            matrix.reshape(-1)[kept] = take(f"values_{values}", len(kept))
        else:
            _, column_width, offset_width = encoding.split("_")
            offsets = take(f"indices_{offset_width}", rows + 1)
            columns = take(f"indices_{column_width}", int(offsets[-1]))
            kept_values = take(f"values_{values}", int(offsets[-1]))
            for row in range(rows):
                for k in range(offsets[row], offsets[row + 1]):
                    matrix[row, columns[k]] = kept_values[k]
        if scales is not None:
            as_float = [struct.unpack("<f", struct.pack("<I", int(s) << 16))[0] for s in scales]
            matrix *= np.array(as_float, np.float32)[:, None]
        elif values == "i8":
            matrix *= steps[:, None]
        constants[name] = matrix.reshape(shape)
    assert used == {pool: vector.size for pool, vector in pools.items()}
    return constants


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("encoding", [None, "dense", "bitmask", "csr"])
@pytest.mark.parametrize("sparsity", [0.3, 0.8, 0.99])
def test_a_reader_written_from_the_documentation_agrees(
    values: str, encoding: str | None, sparsity: float
) -> None:
    data = serialize(minixception((8,), sparsity), values, encoding)
    expected = deserialize(data)[0].constants
    constants = read_as_documented(data)
    assert list(constants) == list(expected)
    for name, array in constants.items():
        assert np.array_equal(array, expected[name]), name


def test_a_reader_written_from_the_documentation_reads_quantized_weights() -> None:
    graph = quantized_tiny_graph()
    for encoding in (None, "dense", "csr"):
        for name, array in read_as_documented(serialize(graph, encoding=encoding)).items():
            assert np.array_equal(array, graph.constants[name]), name


def test_any_safetensors_reader_opens_it_aligned() -> None:
    data = serialize(minixception(), "i8")
    tensors = safetensors.numpy.load(data)
    assert tensors["values_i8"].dtype == np.int8
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    assert (8 + length) % 8 == 0
    for name, entry in header.items():
        if name != "__metadata__":
            assert (8 + length + entry["data_offsets"][0]) % tensors[name].itemsize == 0


def test_another_writer_may_reorder_the_tensors(tmp_path: Path) -> None:
    data = serialize(tiny_graph())
    (length,) = struct.unpack("<Q", data[:8])
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    path = tmp_path / "again.safetensors"
    safetensors.numpy.save_file(safetensors.numpy.load(data), path, metadata)
    assert_same_graph(load_graph(path), tiny_graph())


# --- the size ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values, limit", [("f32", 175_000), ("f16", 98_500), ("i8", 66_000)])
def test_minixception_128_at_80_percent(tmp_path: Path, values: str, limit: int) -> None:
    """The strict count: the teacher's 83.5 MB of weights over this file must pass 1004×, so 83 kB is the most."""
    path = tmp_path / "m.safetensors"
    graph = minixception((128,))
    save(graph, path, values)
    size = path.stat().st_size
    assert size < limit
    stored = stored_constants(path)
    overhead = size - sum(s.bytes for s in stored)
    assert overhead < 3000
    assert [s.name for s in stored] == list(graph.constants)


def test_stored_constants_tell_how_and_how_much(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save(tiny_graph(), path, "i8")
    by_name = {s.name: s for s in stored_constants(path)}
    conv = by_name["conv.weight"]
    assert (conv.encoding, conv.values, conv.nnz, conv.bytes) == ("bitmask", "i8", 3, 2 * 2 + 7 + 3)
    bias = by_name["fc.bias"]
    assert (bias.encoding, bias.values, bias.nnz, bias.bytes) == ("dense", "f16", 2, 6)


# --- written again ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny_f32", "tiny_f16", "tiny_i8", "tiny_csr", "tiny_quantized"])
def test_what_was_read_is_written_as_it_was(name: str) -> None:
    data = (GOLDEN / f"{name}.safetensors").read_bytes()
    graph = deserialize(data)[0]
    assert serialize(graph) == data
    assert serialize(graph.copy()) == data
    assert all(array.dtype == np.float32 for array in graph.constants.values())
    assert serialize(graph) == data, "it was looked at"
    Engine(graph, 1)(np.zeros((1, 3, 8, 8), np.float32))
    assert serialize(graph) == data, "it was planned"
    assert serialize(pickle.loads(pickle.dumps(graph))) == data


@pytest.mark.parametrize("name", ["tiny_f16", "tiny_i8", "tiny_csr"])
def test_what_was_changed_is_written_as_it_is(name: str) -> None:
    graph = load_graph(GOLDEN / f"{name}.safetensors")
    other = graph.copy()
    graph.constants["conv.weight"][0, 0, 0, 0] = 0.1  # no number of f16, and no multiple of a scale
    again = deserialize(serialize(graph))[0]
    assert_same_graph(again, graph)
    assert other.constants["conv.weight"][0, 0, 0, 0] == np.float32(0.1), "copies share the arrays"
    graph.constants["fc.weight"] = np.full_like(graph.constants["fc.weight"], 0.3)
    assert_same_graph(deserialize(serialize(graph))[0], graph)


def test_other_values_or_another_encoding_than_was_read() -> None:
    data = serialize(tiny_graph(), "i8", "csr")
    graph = deserialize(data)[0]
    assert serialize(graph, "i8") == serialize(graph, "i8", "csr") == data
    for values, encoding in (("f32", None), ("f32", "bitmask"), (None, "dense")):
        again, stored = deserialize(serialize(graph, values, encoding))
        weight = next(s for s in stored if s.name == "conv.weight")
        assert (weight.values, weight.encoding) == ("f32", encoding or "bitmask")
        assert_same_graph(again, graph)


def test_loading_unfolds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data = serialize(minixception((16,)), "i8")
    monkeypatch.setattr(StoredWeight, "dense", lambda self: pytest.fail(f"a weight of {self.shape}"))
    graph, stored = deserialize(data)
    assert graph.shapes()
    assert sum(s.nnz for s in stored)
    assert serialize(graph) == data
    assert KeptGraph.of(graph, owned=True).graph().constants.keys() == graph.constants.keys()


@pytest.mark.parametrize("values", ["f32", "f16", "i8"])
@pytest.mark.parametrize("encoding", ["bitmask", "csr"])
def test_a_sparse_linear_layer_is_planned_as_it_is_stored(
    values: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    weight = np.where(rng.random((40, 70)) < 0.1, rng.standard_normal((40, 70)), 0).astype(np.float32)
    node = Node("linear", "fc", ["x", "w"], ["y"])
    graph = Graph("g", [TensorInfo("x", (None, 70))], ["y"], [node], {"w": weight})
    data = serialize(graph, values, encoding)
    unfolded = deserialize(data)[0]
    plain = Graph("g", graph.inputs, ["y"], [node], dict(unfolded.constants))
    x = rng.standard_normal((3, 70)).astype(np.float32)
    expected = Engine(plain, 1)(x)
    monkeypatch.setattr(StoredWeight, "dense", lambda self: pytest.fail(f"a weight of {self.shape}"))
    engine = Engine(deserialize(data)[0], 1)
    assert [decision.format for decision in engine.explain()] == ["csr"]
    assert np.array_equal(engine(x), expected)


# --- quantized --------------------------------------------------------------------------------------------------


@given(
    weight=npst.arrays(np.int8, st.tuples(*[st.integers(1, 4)] * 4), elements=st.integers(-128, 127)),
    scale=st.floats(2.0**-126, 2.0**120, width=32),
    zero_point=st.integers(0, 255),
    rows=st.booleans(),
    encoding=st.sampled_from([None, "dense", "bitmask", "csr"]),
)
def test_any_grid_comes_back(
    weight: np.ndarray, scale: float, zero_point: int, rows: bool, encoding: str | None
) -> None:
    scales = np.float32(scale) / np.arange(1, len(weight) + 1, dtype=np.float32)
    grid = Quantization.of_weights(np.maximum(scales, np.float32(2.0**-126)) if rows else scale)
    graph = Graph(
        "g",
        [TensorInfo("x", (None, weight.shape[1], 5, 6))],
        ["y"],
        [Node("conv2d", "conv", ["x", "w"], ["y"])],
        {"w": grid.numbers(weight)},
        quantization={"x": Quantization.of_activations(scale, zero_point), "w": grid},
    )
    data = serialize(graph, encoding=encoding)
    again, stored = deserialize(data)
    assert_same_graph(again, graph)
    assert stored[0].values == ("i8_row" if rows else "i8_tensor")
    kept = encoded(again.constants, "w")
    assert isinstance(kept, StoredWeight)
    assert np.array_equal(kept.integers(), weight)
    assert np.array_equal(
        kept.csr().to_dense(), graph.constants["w"].reshape(len(weight), -1).reshape(weight.shape)
    )
    assert serialize(again) == data


def test_quantized_weights_are_written_as_integers_whatever_else_is_asked_for() -> None:
    graph = quantized_tiny_graph()
    for values in ("f32", "f16", "i8"):
        again, stored = deserialize(serialize(graph, values))
        assert_same_graph(again, graph)
        assert [s.values for s in stored if s.name.endswith("weight")] == ["i8_row", "i8_tensor"]


def test_a_grid_that_is_taken_away_or_changed_is_not_written() -> None:
    graph = deserialize(serialize(quantized_tiny_graph()))[0]
    del graph.quantization["conv.weight"]
    graph.quantization["fc.weight"] = Quantization.of_weights([2**-4, 2**-4, 2**-3])
    again, stored = deserialize(serialize(graph))
    assert_same_graph(again, graph)
    assert [s.values for s in stored if s.name.endswith("weight")] == ["f32", "i8_row"]
    graph.quantization.clear()
    assert_same_graph(deserialize(serialize(graph))[0], tiny_graph())
    assert serialize(graph, "f32") == serialize(tiny_graph()), "version 1"


def test_numbers_off_their_grid_are_not_written() -> None:
    graph = quantized_tiny_graph()
    graph.constants["fc.weight"][0, 0] = 0.1
    with pytest.raises(
        ModelFileError, match=r"constant 'fc.weight' is quantized, but holds numbers that are not on"
    ):
        serialize(graph)


# --- what save refuses ------------------------------------------------------------------------------------------


def test_wrong_options(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="values must be one of f32, f16, i8, got 'i4'"):
        save(tiny_graph(), tmp_path / "m", "i4")
    with pytest.raises(
        ModelFileError, match="encoding must be one of dense, bitmask, csr or None, got 'coo'"
    ):
        save(tiny_graph(), tmp_path / "m", encoding="coo")
    assert not list(tmp_path.iterdir())


def test_f16_overflow_names_the_tensor(tmp_path: Path) -> None:
    graph = tiny_graph()
    graph.constants["fc.weight"] = graph.constants["fc.weight"] * np.float32(1e6)
    with pytest.raises(ModelFileError, match=r"m: constant 'fc.weight' holds 8e\+06, more than f16 can"):
        save(graph, tmp_path / "m", "f16")


def test_any_rank_that_a_graph_may_have_is_stored() -> None:
    for rank in (9, MAX_RANK):
        shape = (None, 2, *[1] * (rank - 2))
        offset = np.ones((1, 2, *[1] * (rank - 2)), np.float32)
        nodes = [Node("add", "y", ["x", "offset"], ["y"])]
        graph = Graph("deep", [TensorInfo("x", shape)], ["y"], nodes, {"offset": offset})
        again, _ = deserialize(serialize(graph))
        assert_same_graph(again, graph)
        feeds = {"x": np.ones((1, *(int(d or 0) for d in shape[1:])), np.float32)}
        assert np.array_equal(sparsenet.Engine(again).run(feeds)["y"], 2 * feeds["x"])


def test_broken_graph_is_not_written(tmp_path: Path) -> None:
    graph = tiny_graph()
    graph.constants["fc.weight"] = np.full((3, 2), np.nan, np.float32)
    with pytest.raises(GraphError, match=r"'fc\.weight' holds NaN"):
        save(graph, tmp_path / "m")


@pytest.mark.parametrize("name", ["line\nbreak", "\ud800", "x" * 2000])
def test_names_that_no_file_may_hold(tmp_path: Path, name: str) -> None:
    graph = tiny_graph()
    graph.nodes[0].name = name
    with pytest.raises(ModelFileError) as info:
        save(graph, tmp_path / "m")
    assert "\n" not in str(info.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [np.float32(0.5), float("inf"), float("nan"), object()])
def test_attributes_that_are_no_json(tmp_path: Path, value: Any) -> None:
    graph = tiny_graph()
    graph.nodes[0].attrs["epilogue"] = [["clip", 0.0, value], ["affine"]]
    with pytest.raises((GraphError, ModelFileError)):
        save(graph, tmp_path / "m")


# --- the file as a whole ----------------------------------------------------------------------------------------


def test_failure_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.safetensors"
    save(tiny_graph(), path)
    old = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelFileError, match=r"m\.safetensors: cannot be written: No space left on device"):
        save(minixception(), path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_interruption_leaves_no_debris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(tiny_graph(), tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_saving_twice_replaces(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save(minixception(), path)
    save(tiny_graph(), path)
    assert_same_graph(load_graph(path), tiny_graph())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    save(tiny_graph(), tmp_path / "m")
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_missing_folder_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"m: cannot be written: No such file"):
        save(tiny_graph(), tmp_path / "nowhere" / "m")
    with pytest.raises(ModelFileError, match=r"m: no such file"):
        load_graph(tmp_path / "m")
    with pytest.raises(ModelFileError, match="cannot be read: Is a directory"):
        load_graph(tmp_path)
    with pytest.raises(ModelFileError, match="cannot be written"):
        save(tiny_graph(), tmp_path)


def test_version_is_a_number_the_documentation_names() -> None:
    text = (Path(__file__).parents[3] / "docs" / "model_file.md").read_text()
    assert f"`format_version` `{model_file.FORMAT_VERSION}`" in text


def test_defaults_that_files_rely_on() -> None:
    """Attributes at their default are not written, so old files mean whatever these are."""
    none = [0, 0, 0, 0]
    window = {"padding": none, "ceil_mode": False}
    expected: dict[str, dict[str, Any]] = {
        "conv2d": {"stride": [1, 1], "padding": none, "dilation": [1, 1], "groups": 1},
        "batch_norm": {"eps": 1e-5},
        "max_pool2d": {**window, "dilation": [1, 1]},
        "avg_pool2d": {**window, "count_include_pad": True},
        "softmax": {"axis": 1},
        "concat": {"axis": 1},
        "depth_to_space": {"depth_first": False},
        "space_to_depth": {"depth_first": False},
        "pad": {"value": 0.0, "mode": "constant"},
        "reduce": {"keepdims": True},
        "argmax": {"last": False},
        "normalize": {"eps": 1e-5},
        "slice": {"step": 1},
        "resize": {"size": [], "scale": [], "mode": "nearest", "coordinates": "half_pixel"},
        "dropout": {"p": 0.5},
        "top_k": {"largest": True},
        "nms": {"iou_threshold": 0.0, "score_threshold": -3.4028234663852886e38, "center": False},
    }
    for op, defaults in expected.items():
        assert {k: v for k, v in OPS[op].defaults.items() if v is not REQUIRED} == defaults, op
    for op in OPS.keys() - expected.keys():
        assert all(v is REQUIRED for v in OPS[op].defaults.values()), op
