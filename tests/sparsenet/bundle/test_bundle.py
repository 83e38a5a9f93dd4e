"""Compiled bundles: the same answers without Numba or planner, and a clear word where something is wrong with one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import sparsenet
from sparsenet import Engine, Graph, Node, TensorInfo, bundle
from sparsenet.bundle import format as bundle_format
from sparsenet.bundle.format import CODE, FORMAT_VERSION, MANIFEST, PLAN, TAPES, WEIGHTS
from sparsenet.cli import main
from sparsenet.errors import BundleError, InputError
from sparsenet.targets.abi import ROW_WORDS
from sparsenet.targets.cpu.runtime import tape

METADATA = {"class_names": '["a", "b", "c", "d"]'}


def network() -> Graph:
    """A sparse 1x1 layer that reads a map, a residual, a head, and two outputs."""
    rng = np.random.default_rng(7)
    weight = rng.standard_normal((24, 16, 1, 1)).astype(np.float32)
    weight[rng.random(weight.shape) < 0.8] = 0
    nodes = [
        Node("conv2d", "stem", ["x", "stem.w"], ["a"], {"padding": [1, 1, 1, 1], "stride": [2, 2]}),
        Node("conv2d", "pw", ["a", "pw.w"], ["b"], {"epilogue": [["relu"]]}),
        Node("global_avg_pool2d", "gap", ["b"], ["c"]),
        Node("flatten", "flat", ["c"], ["d"]),
        Node("linear", "head", ["d", "head.w", "head.b"], ["y"]),
    ]
    constants = {
        "stem.w": rng.standard_normal((16, 3, 3, 3)).astype(np.float32),
        "pw.w": weight,
        "head.w": rng.standard_normal((4, 24)).astype(np.float32),
        "head.b": rng.standard_normal(4).astype(np.float32),
    }
    return Graph("small", [TensorInfo("x", (None, 3, 33, 40))], ["y", "b"], nodes, constants, dict(METADATA))


@pytest.fixture(scope="module", params=[1, 2])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(network(), request.param)


@pytest.fixture(scope="module")
def made(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "bundle"
    bundle.save(engine.plan, path, sparse=engine.sparse, metadata=engine.metadata)
    return path


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((3, 3, 33, 40)).astype(np.float32)


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def rewrite(folder: Path, name: str, data: bytes) -> None:
    """Replace a file and make the manifest agree: what is left to find is nonsense, not damage."""
    (folder / name).write_bytes(data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    change_manifest(folder, lambda manifest: manifest["files"].update({name: entry}))


def rewrite_plan(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    plan = json.loads((folder / PLAN).read_text())
    change(plan)
    rewrite(folder, PLAN, json.dumps(plan).encode())


def rewrite_tapes(folder: Path, change: Callable[[np.ndarray], None]) -> None:
    words = np.frombuffer((folder / TAPES).read_bytes(), np.int64).reshape(-1, ROW_WORDS).copy()
    change(words)
    rewrite(folder, TAPES, words.tobytes())


def refused(folder: Path, *arguments: Any, **options: Any) -> str:
    with pytest.raises(BundleError) as caught:
        sparsenet.load(folder, *arguments, **options)
    message = str(caught.value)
    assert message.startswith(f"{folder}: ")
    assert "\n" not in message
    return message


# --- what it is for


def test_a_bundle_gives_the_same_answers(engine: Engine, made: Path, x: np.ndarray) -> None:
    loaded = sparsenet.load(made)
    assert loaded.threads == engine.threads
    for name, array in engine.run({"x": x}).items():
        np.testing.assert_array_equal(loaded.run({"x": x})[name], array)


def test_its_engine_has_the_same_face(engine: Engine, made: Path, x: np.ndarray) -> None:
    loaded = sparsenet.load(made, engine.threads)
    assert loaded.inputs == engine.inputs
    assert loaded.outputs == engine.outputs
    assert loaded.explain() == engine.explain()
    assert loaded.metadata == METADATA
    assert loaded.sparse is True
    assert loaded.plan.segments == engine.plan.segments
    assert loaded.plan.layers == engine.plan.layers
    names = [layer.layer for layer in engine.profile(x, runs=2)]
    assert [layer.layer for layer in loaded.profile(x, runs=2)] == names
    loaded(x)
    assert loaded.timings.plan == 0
    assert min(loaded.timings.load, loaded.timings.compile, loaded.timings.first) > 0
    with pytest.raises(InputError, match="must have shape"):
        loaded(x[:, :2])


@pytest.mark.parametrize("name", [".", MANIFEST, PLAN, TAPES, WEIGHTS, CODE])
def test_nobody_else_can_have_put_it_there(copied: Path, name: str) -> None:
    (copied / name).chmod(0o775)
    assert "others may write" in refused(copied)
    (copied / name).chmod(0o755)
    if os.geteuid() == 0:
        os.chown(copied / name, 65534, 65534)
        assert "belongs to another user" in refused(copied)
        os.chown(copied / name, 0, 0)
    if name != ".":
        (copied / "other").hardlink_to(copied / name)
        assert "hard link" in refused(copied)
        (copied / name).unlink()
        (copied / name).symlink_to("other")
        assert "symbolic link" in refused(copied)
        (copied / name).unlink()
        os.mkfifo(copied / name)
        assert "not a regular file" in refused(copied)


def test_the_folder_of_a_bundle_may_be_a_link(copied: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(copied)
    assert sparsenet.load(tmp_path / "current").metadata == METADATA


def test_what_is_written_can_be_read_whatever_the_umask(engine: Engine, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        bundle.save(engine.plan, tmp_path / "made", sparse=engine.sparse, metadata=engine.metadata)
    finally:
        os.umask(before)
    assert sparsenet.load(tmp_path / "made").metadata == METADATA


def test_weights_are_mapped_read_only(made: Path) -> None:
    weights = sparsenet.load(made).plan.weights
    assert not weights.flags.writeable
    if sys.platform == "linux":
        address = f"{weights.ctypes.data:x}-"
        (line,) = [
            line for line in Path("/proc/self/maps").read_text().splitlines() if line.startswith(address)
        ]
        assert line.endswith(str(made / WEIGHTS))
        assert line.split()[1] == "r--s"


def test_a_process_that_loads_one_needs_no_numba(made: Path, x: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", x)
    expected = sparsenet.load(made)(x)[0]
    program = (
        "import sys, numpy as np, sparsenet\n"
        f"y = sparsenet.load({str(made)!r})(np.load({str(tmp_path / 'x.npy')!r}))[0]\n"
        f"np.save({str(tmp_path / 'y.npy')!r}, y)\n"
        "heavy = ('numba', 'safetensors', 'click', 'sparsenet.plan.make', 'sparsenet.io.model_file')\n"
        "heavy += ('llvmlite',) * (sys.platform == 'linux')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    environment = {**os.environ, "SPARSENET_CACHE_DIR": str(tmp_path / "no cache")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), expected)
    assert not (tmp_path / "no cache").exists()


def test_it_holds_exactly_the_code_it_needs(engine: Engine, made: Path) -> None:
    code = bundle.load(made).code
    used = {kernel.name for kernels in engine.plan.kernels for kernel in kernels}
    assert set(code) == used | set(tape.FUNCTIONS)


# --- asked for something else


def test_another_number_of_threads_is_refused(engine: Engine, made: Path) -> None:
    message = refused(made, engine.threads + 1)
    assert f"was compiled for {engine.threads} thread" in message
    assert f"`sparsenet compile --threads {engine.threads + 1}`" in message


def test_dense_kernels_cannot_be_asked_of_a_sparse_bundle(made: Path, tmp_path: Path) -> None:
    assert "was compiled with sparse kernels" in refused(made, sparse=False)
    dense = Engine(network(), 1, sparse=False)
    bundle.save(dense.plan, tmp_path / "dense", sparse=False, metadata={})
    assert sparsenet.load(tmp_path / "dense", sparse=False).sparse is False


# --- another machine, another version


def test_a_cpu_without_its_features_is_refused(copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest["features"].extend(["avx2048", "amx-float"]))
    cpu = json.loads((copied / MANIFEST).read_text())["cpu"]
    assert refused(copied) == (
        f"{copied}: was compiled for {cpu} with features that this CPU lacks: amx-float, avx2048; "
        "run `sparsenet compile` here"
    )


def test_another_platform_is_refused(copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest.update(platform="amiga-m68k"))
    assert "was compiled for amiga-m68k" in refused(copied)


@pytest.mark.parametrize("version", [0, FORMAT_VERSION + 1, "2", None, 10**40])
def test_an_unknown_version_is_refused(copied: Path, version: object) -> None:
    change_manifest(copied, lambda manifest: manifest.update(format_version=version))
    assert "has format version" in refused(copied)


# --- damage


@pytest.mark.parametrize("name", [PLAN, TAPES, WEIGHTS, CODE])
def test_a_changed_byte_is_noticed(copied: Path, name: str) -> None:
    data = bytearray((copied / name).read_bytes())
    data[len(data) // 2] ^= 4
    (copied / name).write_bytes(data)
    assert f"the SHA-256 of {name} does not match" in refused(copied)


@pytest.mark.parametrize("name", [PLAN, TAPES, WEIGHTS, CODE])
@pytest.mark.parametrize("keep", [0, 100])
def test_a_truncated_file_is_noticed(copied: Path, name: str, keep: int) -> None:
    (copied / name).write_bytes((copied / name).read_bytes()[:keep])
    assert f"{name} has {keep} bytes, not" in refused(copied)


def test_a_missing_file_is_noticed(copied: Path) -> None:
    (copied / CODE).unlink()
    assert f"{CODE} is missing" in refused(copied)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"format": "other"}', "[" * 100_000, "\0"])
def test_a_manifest_that_is_none(copied: Path, text: str) -> None:
    (copied / MANIFEST).write_text(text)
    assert MANIFEST in refused(copied)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    assert "not a bundle; make one with `sparsenet compile`" in refused(tmp_path)


# --- hashes that agree with nonsense


def test_an_object_cut_short_is_no_code(copied: Path) -> None:
    def cut(plan: dict[str, Any]) -> None:
        plan["code"][0][1] -= 600

    size = json.loads((copied / PLAN).read_text())["code"][0][1]
    data = (copied / CODE).read_bytes()
    rewrite_plan(copied, cut)
    rewrite(copied, CODE, data[: size - 600] + data[size:])
    with pytest.raises(BundleError, match="machine code cannot be loaded"):
        sparsenet.load(copied)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda words: words[0].__setitem__(0, 10_000), "a kernel's number"),
        (lambda words: words[0].__setitem__(0, -1), "a kernel's number"),
        (lambda words: words[:, 1:].__iadd__(1 << 40), "outside its memory"),
        (lambda words: words[:, 1:].__ior__(1 << 55), "the base of a pointer"),
        (lambda words: words[:, 1:].__ior__(-(2**63)), "the base of a pointer"),
    ],
    ids=["kernel", "negative kernel", "far pointer", "unknown base", "negative base"],
)
def test_tapes_that_point_outside(copied: Path, change: Callable[[np.ndarray], None], message: str) -> None:
    rewrite_tapes(copied, change)
    assert message in refused(copied)


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: plan.pop("tapes", plan.pop("kernels")),
        lambda plan: plan.update(kernels=plan["kernels"][:-1]),
        lambda plan: plan["kernels"][0].update(family="f32_format_disk"),
        lambda plan: plan["kernels"][0].update(tile=[1] * 9),
        lambda plan: plan["kernels"][0].update(epilogue=["explode"]),
        lambda plan: plan["kernels"][0].update(pointers=[31]),
        lambda plan: plan["kernels"][0].update(lanes="16"),
        lambda plan: plan["code"].pop(),
        lambda plan: plan["code"][0].__setitem__(1, 10**9),
        lambda plan: plan["code"][0].__setitem__(1, -1),
        lambda plan: plan.update(arena_bytes=0),
        lambda plan: plan.update(arena_bytes=1e9),
        lambda plan: plan.update(rings=[{"start": 8, "size": 8, "physical": 0}]),
        lambda plan: plan.update(rings=[{"start": 2**44, "size": -4096, "physical": 0}]),
        lambda plan: plan.update(step_layers=[]),
        lambda plan: plan["ends"].pop(),
        lambda plan: (
            plan["ends"].insert(0, plan["ends"][-1]) or plan["ends"].append([0] * len(plan["ends"][0]))
        ),
        lambda plan: plan["ends"][-1].append(1),
        lambda plan: plan["ends"][0].__setitem__(0, -1),
        lambda plan: plan["step_layers"][0].append(0),
        lambda plan: plan["step_layers"][0].__setitem__(0, 10**6),
        lambda plan: plan.update(layers=[1, 2]),
        lambda plan: plan["inputs"][0].update(shape=[None, 3, -33, 40]),
        lambda plan: plan["outputs"][0].update(dtype="float64"),
        lambda plan: plan["decisions"][0].update(macs="many"),
        lambda plan: plan["decisions"][0].update(extra=1),
        lambda plan: plan["segments"][0].update(calls=["x"]),
        lambda plan: plan.update(metadata={"a": 1}),
        lambda plan: plan.update(sparse=1),
    ],
)
def test_a_plan_that_makes_no_sense(copied: Path, change: Callable[[dict[str, Any]], None]) -> None:
    rewrite_plan(copied, change)
    refused(copied)


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000])
def test_a_plan_that_is_none(copied: Path, text: str) -> None:
    rewrite(copied, PLAN, text.encode())
    refused(copied)


# --- writing


def test_saving_replaces_a_bundle_but_nothing_else(engine: Engine, copied: Path, tmp_path: Path) -> None:
    (copied / CODE).unlink()
    bundle.save(engine.plan, copied, sparse=True, metadata={"new": "yes"})
    assert sparsenet.load(copied).metadata == {"new": "yes"}
    assert sorted(path.name for path in copied.iterdir()) == sorted([MANIFEST, PLAN, TAPES, WEIGHTS, CODE])
    other = tmp_path / "photos"
    other.mkdir()
    (other / "cat.jpg").write_bytes(b"meow")
    with pytest.raises(BundleError, match="exists and is not a bundle, or holds other files"):
        bundle.save(engine.plan, other, sparse=True, metadata={})
    assert (other / "cat.jpg").read_bytes() == b"meow"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "photos"]


def test_a_failed_save_leaves_the_old_bundle(
    engine: Engine, copied: Path, x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BundleError, match="cannot be written: No space left on device"):
        bundle.save(engine.plan, copied, sparse=True, metadata={})
    monkeypatch.undo()
    assert sparsenet.load(copied)(x)[0].shape == (3, 4)
    assert [path.name for path in copied.parent.iterdir()] == ["copy"]


def test_the_format_version_is_the_documented_one() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/bundle.md").read_text()
    assert f"`format_version` `{bundle_format.FORMAT_VERSION}`" in page


# --- the command line


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_compile_and_run(tmp_path: Path) -> None:
    model, folder = tmp_path / "model.safetensors", tmp_path / "out" / "bundle"
    graph = network()
    graph.outputs = ["y"]
    sparsenet.save(graph, model)
    result = invoke("compile", model, "-o", folder, "--threads", 1)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{folder}: ")
    assert "kernels" in result.stdout
    from_model, from_bundle = (
        json.loads(invoke("run", path, "--random", "--json", *extra).stdout)
        for path, extra in ((model, ["--threads", 1]), (folder, []))
    )
    assert from_model == from_bundle
    assert from_bundle[0]["top"][0][0]["class"] in "abcd"
    timed = invoke("run", folder, "--random", "--timings")
    assert [word.split()[0] for word in timed.stderr.split(", ")] == ["imports", "load", "compile", "first"]
    assert invoke("run", folder, "--random", "--threads", 2).stderr.startswith(
        f"error: {folder}: was compiled for 1"
    )
    report = json.loads(invoke("compile", model, "-o", folder, "--threads", 1, "--dense", "--json").stdout)
    assert report["threads"] == 1
    assert any("dense" in name for name in report["kernels"])
    assert json.loads(invoke("explain", folder, "--json").stdout)[0]["layer"] == "stem"


def test_compile_does_not_overwrite_a_file(tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    sparsenet.save(network(), model)
    result = invoke("compile", model, "-o", model)
    assert result.exit_code == 2
    assert "is a file" in result.stderr


def test_help_warns_of_bundles_from_strangers() -> None:
    text = " ".join(invoke("compile", "--help").stdout.split())
    assert "load only bundles that you made or trust" in text
