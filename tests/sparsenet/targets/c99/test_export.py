"""Exported C: it compiles without a warning, computes what the reference does, and stays within its arena."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import sparsenet
from sparsenet import Graph, Node, TensorInfo, reference
from sparsenet.commands.export_c import export_c as command
from sparsenet.errors import InputError, MemoryLimitError, UnsupportedOpError
from tests.sparsenet.targets.c99.compiled import (
    COMPILER,
    STRICT,
    Compiled,
    assert_exports,
    assert_same,
    compile_c,
    needs_compiler,
    sanitizers,
)
from tests.sparsenet.targets.c99.networks import separable_net


@needs_compiler
@pytest.mark.parametrize("options", [{}, {"values": "i8"}, {"sparse": False, "target": "cortex-m"}], ids=str)
def test_a_network_computes_what_the_reference_does(tmp_path: Path, options: dict) -> None:
    assert_exports(separable_net(), tmp_path, **options)


@needs_compiler
def test_bytes_are_scaled_and_read_in_either_layout(tmp_path: Path) -> None:
    graph = separable_net()
    mean, std = (100.0, 0.0, 50.0), (60.0, 255.0, 1.0)
    image = np.random.default_rng(0).integers(0, 256, (3, 13, 13), np.uint8)
    numbers = ((image - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))).astype(np.float32)
    expected = reference.run(graph, {"x": numbers[None]})["y"][0]
    for layout in ("chw", "hwc"):
        context = Compiled(graph, tmp_path / layout, input="u8", mean=mean, std=std, layout=layout).context()
        given = image if layout == "chw" else np.ascontiguousarray(image.transpose(1, 2, 0))
        assert_same(context.run(given)[0], expected)
        assert_same(context.push(given, layout)[0], expected)


def test_bytes_mean_what_the_model_says(tmp_path: Path) -> None:
    graph = separable_net()
    text = sparsenet.export_c(graph, tmp_path / "no", input="u8").files["no.h"]
    assert "(byte - mean) / std: mean 127.5; std 127.5." in text
    graph.metadata |= {"mean": "[0.5, 0.25, 0]", "std": "[1, 1, 0.5]", "class_names": '["cat", "*/"]'}
    text = sparsenet.export_c(graph, tmp_path / "face", input="u8", mean=(1.0,)).files["face.h"]
    assert "mean 1; std 255, 255, 127.5." in text
    assert "Classes: 0 cat, 1 * /." in text


@needs_compiler
def test_contexts_do_not_know_of_each_other(tmp_path: Path) -> None:
    """Two images, a row of each in turn."""
    network = Compiled(separable_net(), tmp_path)
    images = np.random.default_rng(1).standard_normal((2, 3, 13, 13), np.float32)
    contexts = [network.context(), network.context()]
    outputs = [context.outputs() for context in contexts]
    for context, (output,) in zip(contexts, outputs, strict=True):
        context.call("begin", output.ctypes.data)
    for y in range(13):
        for context, image in zip(contexts, images, strict=True):
            context.call("push_row", np.ascontiguousarray(image[:, y]).ctypes.data)
    for (output,), image in zip(outputs, images, strict=True):
        np.testing.assert_array_equal(output, network.context().run(image)[0])


@needs_compiler
def test_wrong_calls_return_errors(tmp_path: Path) -> None:
    context = Compiled(separable_net(), tmp_path).context()
    arena, size = context.memory.ctypes.data + context.start, context.size
    assert context.call("init", arena, size - 1) == -2
    assert context.call("init", arena + 4, size) == -2
    assert context.call("init", 0, size) == -1
    assert context.call("init", arena, size) == 0
    assert context.call("push_row", arena) == -3, "no run has begun"
    assert context.call("run", arena, 0) == -1
    assert context.call("begin", 0) == -1


@needs_compiler
def test_nan_comes_out_and_infinity_does(tmp_path: Path) -> None:
    """Through a convolution, a pooling and a ReLU, at the places where the reference has them."""
    nodes = [
        Node("conv2d", "conv", ["x", "w"], ["a"], {"padding": [1, 1, 1, 1], "epilogue": [["relu"]]}),
        Node("max_pool2d", "pool", ["a"], ["y"], {"kernel": [3, 3], "stride": [1, 1]}),
    ]
    graph = Graph(
        "nan", [TensorInfo("x", (None, 1, 24, 24))], ["y"], nodes, {"w": np.ones((1, 1, 1, 1), np.float32)}
    )
    graph.nodes[0].attrs["padding"] = [0, 0, 0, 0]
    x = np.random.default_rng(0).standard_normal((1, 24, 24), np.float32)
    x[0, 3, 4], x[0, 3, 20], x[0, 20, 5], x[0, 20, 12] = np.nan, np.inf, -np.inf, np.inf
    expected = reference.run(graph, {"x": x[None]})["y"][0]
    assert np.isnan(expected).sum() == 9
    np.testing.assert_allclose(Compiled(graph, tmp_path).context().run(x)[0], expected, rtol=1e-6)


@needs_compiler
@pytest.mark.parametrize("padding", [[1, 0, 0, 0], [0, 0, 2, 0], [1, 2, 1, 0]], ids=str)
def test_a_window_of_one_row_may_see_nothing_but_padding(tmp_path: Path, padding: list[int]) -> None:
    weight = np.zeros((2, 3, 1, 1), np.float32)
    weight[:, 1], bias = 2, np.array([1, -1], np.float32)
    node = Node("conv2d", "conv", ["x", "w", "b"], ["y"], {"padding": padding})
    assert_exports(
        Graph("one", [TensorInfo("x", (None, 3, 2, 5))], ["y"], [node], {"w": weight, "b": bias}), tmp_path
    )


@needs_compiler
@pytest.mark.parametrize("shape", [(60,), (1, 3, 4, 5), (4, 15), (5, 3, 4)], ids=str)
def test_numbers_of_any_shape_become_a_map(tmp_path: Path, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((2, 3, 3, 3), np.float32),
        "v": rng.standard_normal((5, 40), np.float32),
    }
    nodes = [
        Node("reshape", "map", ["x"], ["a"], {"shape": [3, 4, 5]}),
        Node("conv2d", "conv", ["a", "w"], ["b"], {"padding": [1, 1, 1, 1]}),
        Node("max_pool2d", "pool", ["a"], ["p"], {"kernel": [2, 2], "stride": [1, 1]}),
        Node("flatten", "flat", ["b"], ["c"]),
        Node("linear", "head", ["c", "v"], ["y"]),
    ]
    network = assert_exports(
        Graph("any", [TensorInfo("x", (None, *shape))], ["y", "p"], nodes, weights), tmp_path
    )
    assert ("ROWS" in network.sizes) == (len(shape) > 2 and shape[:-3] in ((), (1,)))


@needs_compiler
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_folder_builds_as_it_stands_and_sanitizers_find_nothing(tmp_path: Path, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler}")
    if not sanitizers(compiler):
        pytest.skip(f"{compiler} has no sanitizers: on Debian, libclang-rt-dev")
    sparsenet.export_c(separable_net(), tmp_path, name="face", values="i8")
    sources = ["face.c", "face_weights.c", "face_test.c", "-lm", "-o"]
    compile_c(tmp_path, "-O3", *sources, "fast", compiler=compiler)
    compile_c(tmp_path, "-g", "-O1", *sanitizers(compiler), *sources, "checked", compiler=compiler)
    for program in ("fast", "checked"):
        assert subprocess.run([tmp_path / program], capture_output=True, check=True).stdout == b"ok\n"


@needs_compiler
def test_two_networks_in_one_program_and_a_header_for_cpp(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        sparsenet.export_c(separable_net(seed=seed), tmp_path, name=name)
    body = "one_ctx a; two_ctx b; return one_run(&a, 0, 0) + two_run(&b, 0, 0);"
    main = f'#include "one.h"\n#include "two.h"\nint main() {{ {body} }}\n'
    for suffix, compiler in (("c", COMPILER), ("cpp", shutil.which("g++") or shutil.which("clang++"))):
        if compiler is None:
            continue
        (tmp_path / f"main.{suffix}").write_text(
            main if suffix == "cpp" else main.replace("main()", "main(void)")
        )
        strict = STRICT if suffix == "c" else ["-Wall", "-Wextra", "-Werror"]
        subprocess.run([compiler, *strict, "-c", f"main.{suffix}", "-o", "main.o"], cwd=tmp_path, check=True)
        compile_c(tmp_path, "-c", "one.c", "one_weights.c", "two.c", "two_weights.c")
        objects = ["main.o", "one.o", "one_weights.o", "two.o", "two_weights.o", "-lm"]
        subprocess.run([compiler, *objects], cwd=tmp_path, check=True)


@needs_compiler
def test_names_from_a_file_are_no_code(tmp_path: Path) -> None:
    evil = '*/ #error "x" /* \n #include </dev/zero> \\ ??/ \u202e'
    node = Node("relu", evil, ["x*/"], [evil])
    graph = Graph(evil, [TensorInfo("x*/", (None, 2, 3, 3))], [evil], [node], {})
    assert_exports(graph, tmp_path)


def test_the_arena_is_what_the_report_says_and_a_budget_is_kept(tmp_path: Path) -> None:
    exported = sparsenet.export_c(separable_net(), tmp_path, name="face")
    report = json.loads((tmp_path / "report.json").read_text())
    size = report["ram"]["arena_bytes"]
    assert f"#define FACE_ARENA_BYTES {size}u" in exported.files["face.h"]
    assert max(m["offset"] + m["bytes"] for m in report["ram"]["maps"]) == size
    sparsenet.export_c(separable_net(), tmp_path, name="face", max_ram=size)
    with pytest.raises(
        MemoryLimitError, match=rf"{size} bytes, the limit is {size - 1}; the largest maps: '\w+' \d+"
    ):
        sparsenet.export_c(separable_net(), tmp_path / "no", name="face", max_ram=size - 1)
    assert not (tmp_path / "no").exists()


def test_rows_are_kept_only_while_they_are_needed(tmp_path: Path) -> None:
    maps = {
        m["tensor"]: m["rows_kept"]
        for m in sparsenet.export_c(separable_net(61), tmp_path).report["ram"]["maps"]
    }
    assert (maps["x"], maps["b"], maps["c"], maps["e"]) == (3, 1, 3, 3)


def test_what_there_is_no_c_for_is_refused_by_name(tmp_path: Path) -> None:
    node = Node("transpose", "turned round", ["x"], ["y"], {"perm": [0, *range(9, 0, -1)]})
    graph = Graph("deep", [TensorInfo("x", (None, *[2] * 9))], ["y"], [node], {})
    with pytest.raises(
        UnsupportedOpError, match=r"'turned round' \(transpose\): it moves numbers along 9 axes"
    ):
        sparsenet.export_c(graph, tmp_path)


def test_a_map_with_more_rows_than_c_counts_is_refused(tmp_path: Path) -> None:
    graph = Graph(
        "tall", [TensorInfo("x", (None, 1, 70_000, 1))], ["y"], [Node("relu", "tall one", ["x"], ["y"])], {}
    )
    with pytest.raises(MemoryLimitError, match="65535 rows"):
        sparsenet.export_c(graph, tmp_path)
    far = {"dilation": [65537, 1], "padding": [65537, 1, 65537, 1]}
    node = Node("conv2d", "far", ["x", "w"], ["y"], far)
    graph = Graph(
        "far", [TensorInfo("x", (None, 1, 3, 4))], ["y"], [node], {"w": np.ones((2, 1, 3, 3), np.float32)}
    )
    with pytest.raises(MemoryLimitError, match="steps of up to 131074 rows"):
        sparsenet.export_c(graph, tmp_path)


@pytest.mark.parametrize(
    "options",
    [{"name": "Face"}, {"name": "math"}, {"values": "f16"}, {"target": "z80"}, {"layout": "nchw"}, {"project": "x"},
     {"input": "u8", "mean": (1.0, 2.0)}, {"mean": (1.0,)}, {"input": "u8", "std": (0.0,)}],
    ids=str,
)  # fmt: skip
def test_wrong_arguments_are_refused(tmp_path: Path, options: dict) -> None:
    with pytest.raises(InputError):
        sparsenet.export_c(separable_net(), tmp_path, **options)


def test_the_command_prints_ram_and_flash_and_refuses_in_one_line(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    sparsenet.save(separable_net(), model)
    run = CliRunner().invoke(command, [str(model), "-o", str(tmp_path / "Face 1"), "--max-ram", "1m"])
    assert run.exit_code == 0, run.output
    assert "rows kept" in run.output
    assert (tmp_path / "Face 1" / "face_1.h").is_file()
    as_json = CliRunner().invoke(command, [str(model), "-o", str(tmp_path / "face"), "--json"])
    assert json.loads(as_json.output)["name"] == "face"
    for bad in (["--max-ram", "12x"], ["--mean", "a"], ["--mean", "nan"]):
        assert CliRunner().invoke(command, [str(model), "-o", str(tmp_path / "no"), *bad]).exit_code == 2
