"""``sparsenet prune``: sparse weights, masks and a table; fine-tuned on a schedule; errors in one line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner, Result
from PIL import Image

from sparsenet.cli import main
from sparsenet.latency import paired
from tests.training.cli.conftest import CountingTimer
from tests.training.tiny_images import tiny_images
from training.checkpoint import ModelInfo, load_model, save_model
from training.data.images import to_float
from training.data.load import load_images
from training.models import build_model
from training.pruning import Masks, find_masks

INFO = ModelInfo("minixception-128", ("a", "b", "c", "d"), 32, task="folder", seed=3, notes={"from": "test"})


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    save_model(tmp_path / "w.safetensors", build_model("minixception-128", 4, seed=1), INFO)
    return tmp_path / "w.safetensors"


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    data = tiny_images(40)
    for index, (image, label) in enumerate(zip(data.images, data.labels.tolist(), strict=True)):
        path = folder / data.class_names[label] / f"{index:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["prune", *map(str, arguments)])


def summary(*arguments: object) -> dict:
    result = run(*arguments, "--json", "--threads", 1)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def fails(message: str, *arguments: object) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1


def same(first: Path, second: Path) -> bool:
    state = load_model(first)[0].state_dict()
    return all(torch.equal(t, state[name]) for name, t in load_model(second)[0].state_dict().items())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"method": "random", "seed": 5},
        {"scope": "global", "sparsity": 0.9, "min_density": 0.05},
        {"structured": "output", "sparsity": 0.5},
        {"structured": "input", "sparsity": 0.5, "exclude": ["head", "stem.*"]},
        {"include": ["blocks.*"], "scope": "erk"},
        {"block": "1x4", "scope": "global"},
    ],
)
def test_prunes_as_find_masks_does(tmp_path: Path, weights: Path, options: dict) -> None:
    flags: list[object] = []
    for name, value in options.items():
        for item in value if isinstance(value, list) else [value]:
            flags += [f"--{name.replace('_', '-')}", item]
    out, file = tmp_path / "out.safetensors", tmp_path / "out.masks.safetensors"
    told = summary(weights, "-o", out, "--masks", file, *flags)
    dense, _ = load_model(weights)
    block = {"block": (1, 4)} if "block" in options else {}
    expected = find_masks(dense, **({"sparsity": 0.8} | options | block))
    assert Masks.load(file) == expected
    expected.apply(dense)
    pruned, info = load_model(out)
    assert all(torch.equal(t, dense.state_dict()[name]) for name, t in pruned.state_dict().items())
    assert told["sparsity"] == expected.sparsity
    assert told["affine_pruned"] == expected.affine_pruned
    assert (told["affine_pruned"] > 0) == (options.get("structured") == "output")
    assert told["test"] is None
    assert (info.model, info.input_size, info.seed) == (INFO.model, INFO.input_size, INFO.seed)
    assert info.notes["from"] == "test"
    assert float(info.notes["sparsity"]) == pytest.approx(expected.sparsity, abs=1e-6)
    assert info.notes["method"] == options.get("method", "l1")
    assert info.notes.get("block") == options.get("block")


def test_table_and_json_count_what_is_in_the_file(tmp_path: Path, weights: Path) -> None:
    out = tmp_path / "out.safetensors"
    told = summary(weights, "-o", out, "--exclude", "head")
    state = load_model(out)[0].state_dict()
    for layer in told["layers"]:
        weight = state[f"{layer['name']}.weight"]
        assert layer["shape"] == "×".join(map(str, weight.shape))
        assert layer["weights"] == weight.numel()
        assert layer["nnz"] == weight.count_nonzero()
        assert layer["density"] == pytest.approx(1.0 if layer["name"] == "head" else 0.2, abs=0.02)
    result = run(weights, "-o", out, "--exclude", "head")
    assert result.exit_code == 0
    table = result.stdout.splitlines()
    assert table[0].split() == ["name", "shape", "weights", "nnz", "density"]
    assert [line.split()[0] for line in table[2:-3]] == [layer["name"] for layer in told["layers"]]
    nnz = sum(layer["nnz"] for layer in told["layers"])
    assert table[-3].split()[0] == "all"
    assert table[-3].split()[2] == f"{nnz:,}"
    assert table[-1].startswith("sparsity 0.80")


def test_rescued_layers_are_named(tmp_path: Path, weights: Path) -> None:
    flags = (weights, "-o", tmp_path / "o", "--sparsity", 0.99, "--scope", "global", "--min-density", 0.2)
    rescued = summary(*flags)["rescued"]
    assert rescued
    assert f"kept from running empty: {', '.join(rescued)}" in run(*flags).stdout


def test_a_mask_file_decides_alone(tmp_path: Path, weights: Path) -> None:
    file, first, second = tmp_path / "m.safetensors", tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    summary(weights, "-o", first, "--masks", file, "--method", "random", "--sparsity", 0.6)
    told = summary(weights, "-o", second, "--apply-masks", file)
    assert told["sparsity"] == pytest.approx(0.6, abs=0.001)
    assert load_model(second)[1].notes == load_model(first)[1].notes
    assert same(first, second)
    fails(
        "--apply-masks decides what is pruned: leave out --method",
        weights, "-o", second, "--apply-masks", file, "--method", "l1",
    )  # fmt: skip


@pytest.mark.parametrize("structured", [None, "output"])
def test_finetuning_follows_the_schedule_and_learns(
    tmp_path: Path, weights: Path, faces: Path, structured: str | None
) -> None:
    """16 steps, the last quarter of them at the final sparsity."""
    out, file = tmp_path / "out.safetensors", tmp_path / "out.masks.safetensors"
    flags = ["--structured", structured] if structured else []
    told = summary(
        weights, "-o", out, "--masks", file, "--finetune", "16:2,32:2", "--data", faces, "--quiet",
        "--sparsity", 0.7, "--initial", 0.4, "--ramp", 0.75, "--mask-every", 3, "--batch-size", 8, *flags,
    )  # fmt: skip
    masks = Masks.load(file)
    assert masks.sparsity == pytest.approx(0.7, abs=0.01 if structured is None else 0.08)
    schedule = masks.info["schedule"]
    assert (schedule["initial"], schedule["final"], schedule["end_step"], schedule["every"]) == (
        0.4,
        0.7,
        12,
        3,
    )
    assert schedule["step"] == 12
    model, info = load_model(out)
    masks.check(model)
    before = load_model(weights)[0].state_dict()
    assert not any(
        torch.equal(t[t != 0], before[n][t != 0]) for n, t in model.state_dict().items() if t.ndim > 1
    )
    assert info.input_size == 32
    assert info.notes["finetuned"] == "16:2,32:2"
    assert sum(told["test"]["support"]) > 0


def test_finetuning_with_a_teacher_and_an_interruption(tmp_path: Path, weights: Path, faces: Path) -> None:
    """A second call with the same checkpoint finds the work done and writes the same network."""
    teacher = tmp_path / "teacher.safetensors"
    save_model(teacher, build_model("minixception-128", 4, seed=8), replace(INFO, input_size=16))
    flags = ["--finetune", "32:1", "--data", faces, "--quiet", "--batch-size", 8, "--teacher", teacher]
    flags += ["--block", "1x4"]
    out, other = tmp_path / "out.safetensors", tmp_path / "other.safetensors"
    summary(weights, "-o", out, *flags, "--checkpoint", tmp_path / "c")
    summary(weights, "-o", other, *flags, "--checkpoint", tmp_path / "c")
    assert same(out, other)
    assert load_model(out)[1] == load_model(other)[1]
    assert load_model(out)[1].notes["teacher"] == "teacher.safetensors"
    assert load_model(out)[1].notes["block"] == "1x4"
    summary(weights, "-o", other, *flags, "--alpha", 0.9)
    assert not same(out, other)


def test_quantized_training_holds_the_zeros_and_continues(tmp_path: Path, weights: Path, faces: Path) -> None:
    """A second call with the same checkpoints finds both trainings done."""
    flags = ["--quantize", "32:1", "--data", faces, "--quiet", "--batch-size", 8, "--block", "1x4"]
    flags += ["--teacher", weights]
    out, other, file = (tmp_path / f"{name}.safetensors" for name in ("out", "other", "masks"))
    told = summary(weights, "-o", out, *flags, "--masks", file, "--checkpoint", tmp_path / "c")
    summary(weights, "-o", other, *flags, "--checkpoint", tmp_path / "c")
    assert (tmp_path / "c.quantize").exists()
    assert same(out, other)
    model, info = load_model(out)
    assert info.quantized
    assert (info.notes["quantized"], info.notes["block"]) == ("32:1", "1x4")
    assert Masks.from_zeros(model) == Masks.load(file)
    assert told["test"]["accuracy"] >= 0
    fails("cannot be quantized", out, "-o", other, "--quantize", "32:1", "--data", faces, "--quiet")


def test_sparse_training_moves_blocks_and_continues(tmp_path: Path, faces: Path) -> None:
    """Of an untrained network; a second call with the same checkpoint finds the work done."""
    flags = [
        "minixception-128",
        "--method",
        "rigl",
        "--sparsity",
        0.9,
        "--block",
        "1x4",
        "--data",
        faces,
        "--quiet",
    ]
    flags += ["--finetune", "16:2", "--batch-size", 8, "--mask-every", 2, "--seed", 2]
    out, other, file = (tmp_path / f"{name}.safetensors" for name in ("out", "other", "masks"))
    told = summary(*flags, "-o", out, "--masks", file, "--checkpoint", tmp_path / "c")
    summary(*flags, "-o", other, "--checkpoint", tmp_path / "c")
    assert same(out, other)
    masks, network = Masks.load(file), build_model("minixception-128", 4, seed=2)
    begun = find_masks(network, "random", 0.9, scope="erk", block=(1, 4), seed=2)
    assert masks != begun
    assert masks.density_per_layer() == begun.density_per_layer()
    masks.check(load_model(out)[0])
    assert told["sparsity"] == pytest.approx(0.9, abs=0.001)
    assert masks.info["drop_schedule"] == {"end_step": 6, "every": 2, "fraction": 0.3}
    notes = load_model(out)[1].notes
    assert (notes["method"], notes["scope"], notes["block"]) == ("rigl", "erk", "1x4")
    fails("--method rigl moves masks while the network trains", *flags[:9], "-o", other, "--method", "rigl")
    fails(
        "number of weights: leave out --at-once, --initial",
        *flags,
        "-o",
        other,
        "--initial",
        0.5,
        "--at-once",
    )
    fails("--drop needs --method rigl or set", *flags, "-o", other, "--method", "l1", "--drop", 0.5)


def test_finetuning_under_given_masks_keeps_them(tmp_path: Path, weights: Path, faces: Path) -> None:
    masks = find_masks(load_model(weights)[0], "random", 0.5, include=["blocks.*"])
    file, out = tmp_path / "m.safetensors", tmp_path / "out.safetensors"
    masks.save(file)
    flags = [
        "--finetune",
        "32:1",
        "--data",
        faces,
        "--quiet",
        "--batch-size",
        8,
        "--checkpoint",
        tmp_path / "c",
    ]
    summary(weights, "-o", out, "--apply-masks", file, *flags)
    model, _ = load_model(out)
    masks.check(model)
    zeros = Masks.from_zeros(model)
    assert all(torch.equal(zeros[name], mask) for name, mask in masks.items())
    find_masks(load_model(weights)[0], "random", 0.5, seed=9).save(file)
    fails("other masks", weights, "-o", out, "--apply-masks", file, *flags)


def test_data_without_finetuning_tests_the_result(tmp_path: Path, weights: Path, faces: Path) -> None:
    result = run(weights, "-o", tmp_path / "out", "--data", faces, "--quiet", "--sparsity", 0)
    assert result.exit_code == 0
    assert "macro F1" in result.stdout
    for name in INFO.class_names:
        assert f"\n{name} " in result.stdout


def test_bad_options(tmp_path: Path, weights: Path) -> None:
    flags = (weights, "-o", tmp_path / "out.safetensors")
    fails("no such file", tmp_path / "absent", "-o", tmp_path / "out.safetensors")
    fails("'nowhere' matches no prunable layer", *flags, "--include", "nowhere")
    fails("there is no folder", weights, "-o", tmp_path / "no" / "out")
    fails("there is no folder", *flags, "--masks", tmp_path / "no" / "masks")
    fails("is not in the range", *flags, "--sparsity", 1.5)
    fails("'4x1' is no block of input channels, for example 1x4", *flags, "--block", "4x1")
    fails("block=1x4 blocks: give one", *flags, "--block", "1x4", "--structured", "output")
    fails("'magic'", *flags, "--method", "magic")
    fails("--teacher needs --finetune", *flags, "--teacher", weights)
    fails("--ramp, --lr needs --finetune", *flags, "--ramp", 0.5, "--lr", 0.1)
    fails("not SIZE:EPOCHS", *flags, "--finetune", "two")
    fails("no such mask file", *flags, "--apply-masks", tmp_path / "absent")
    assert list(tmp_path.iterdir()) == [weights]


def test_bad_data_and_schedule(tmp_path: Path, weights: Path, faces: Path) -> None:
    out, strangers = tmp_path / "out.safetensors", tmp_path / "strangers.safetensors"
    data = ("-o", out, "--data", faces, "--quiet")
    finetune = (*data, "--finetune", "32:1")
    save_model(strangers, build_model("minixception-128", 4), replace(INFO, class_names=("a", "b", "c", "e")))
    fails("tells apart", strangers, *data)
    fails("tells apart", strangers, *finetune)
    fails("teacher", weights, *finetune, "--teacher", strangers)
    fails("0 ≤ initial ≤ final", weights, *finetune, "--initial", 0.9)
    assert not out.exists()


def test_snip_on_images_before_training(tmp_path: Path, faces: Path) -> None:
    """An untrained network by name, masks from training images, held while it trains."""
    out, file = tmp_path / "out.safetensors", tmp_path / "m.safetensors"
    flags = ["minixception-128", "-o", out, "--masks", file, "--method", "snip", "--keep", 20_000, "--data", faces,
             "--quiet", "--score-images", 20, "--batch-size", 8, "--seed", 4, "--whole", "head"]  # fmt: skip
    told = summary(*flags, "--finetune", "32:2")
    model, info = load_model(out)
    masks = Masks.load(file)
    masks.check(model)
    assert told["nnz"] == masks.nnz == 20_000
    assert masks["head.weight"].all()
    assert [batch["samples"] for batch in masks.info["batches"]] == [8, 8, 4]
    assert len(set(masks.info["images"])) == 20
    assert all((faces / name).is_file() for name in masks.info["images"])
    assert (masks.info["scope"], masks.info["mode"]) == ("global", "eval")
    assert info.class_names == INFO.class_names
    assert info.notes["finetuned"] == "32:2"
    # The same masks without training: the weights are those the name and the seed stand for.
    summary(*flags, "--mode", "eval", "--finetune", "32:1")
    assert Masks.load(file) == masks
    fresh = build_model("minixception-128", 4, seed=4).state_dict()
    untrained = [*flags]
    untrained[2] = tmp_path / "untrained.safetensors"
    assert summary(*untrained, "--method", "synflow", "--rounds", 2, "--keep", 30_000)["nnz"] == 30_000
    state = load_model(untrained[2])[0].state_dict()
    for name, tensor in state.items():
        assert torch.equal(tensor[tensor != 0], fresh[name][tensor != 0])


def test_foresight_on_a_trained_network_sees_stored_statistics(
    tmp_path: Path, weights: Path, faces: Path
) -> None:
    file = tmp_path / "m.safetensors"
    flags = ["--masks", file, "--method", "grasp", "--data", faces, "--quiet", "--batch-size", 40]
    summary(weights, "-o", tmp_path / "out.safetensors", *flags)
    masks = Masks.load(file)
    model, _ = load_model(weights)
    data = {name: (image, label) for name, image, label in _by_name(faces)}
    chosen = [data[name] for name in masks.info["images"]]
    batch = (
        to_float(torch.stack([image for image, _ in chosen])),
        torch.tensor([label for _, label in chosen]),
    )
    expected = find_masks(model, "grasp", 0.8, batches=[batch], loss=F.cross_entropy, mode="eval")
    assert masks == expected
    assert masks.info["mode"] == "eval"


def _by_name(folder: Path) -> list[tuple[str, torch.Tensor, int]]:
    data = load_images(folder, 32, progress=False)
    return list(zip(data.files, data.images, data.labels.tolist(), strict=True))


def test_shuffled_masks(tmp_path: Path, weights: Path) -> None:
    plain, shuffled, again = (tmp_path / f"{name}.safetensors" for name in ("plain", "shuffled", "again"))
    out = tmp_path / "out.safetensors"
    summary(weights, "-o", out, "--masks", plain, "--scope", "global")
    told = summary(weights, "-o", out, "--masks", shuffled, "--scope", "global", "--shuffle")
    assert load_model(out)[1].notes["shuffled"] == "within layers"
    summary(weights, "-o", out, "--masks", again, "--apply-masks", plain, "--shuffle")
    assert Masks.load(shuffled) == Masks.load(again) != Masks.load(plain)
    assert Masks.load(shuffled).density_per_layer() == Masks.load(plain).density_per_layer()
    assert told["nnz"] == Masks.load(plain).nnz


def test_emptied_layers_are_reported(tmp_path: Path, weights: Path) -> None:
    flags = (weights, "-o", tmp_path / "o", "--sparsity", 0.999, "--scope", "global", "--on-empty")
    emptied = summary(*flags, "allow")["emptied"]
    assert emptied
    result = run(*flags, "allow")
    assert f"left empty, so that nothing passes through: {', '.join(emptied)}" in result.stdout
    assert result.stderr == ""
    assert summary(*flags, "keep")["rescued"] == emptied
    fails(f"at least one) of: {', '.join(emptied)}", *flags, "raise")


def test_contradictions_of_new_options(tmp_path: Path, weights: Path, faces: Path) -> None:
    flags = (weights, "-o", tmp_path / "out.safetensors")
    tune = ("--finetune", "32:1", "--data", faces, "--quiet")
    fails("--sparsity and --keep are two ways", *flags, "--sparsity", 0.5, "--keep", 10)
    fails("--whole, --rounds: a schedule cannot", *flags, *tune, "--rounds", 2, "--whole", "head")
    fails("--ramp: these masks are found at once", *flags, *tune, "--method", "synflow", "--ramp", 0.5)
    fails("--initial: these masks are found at once", *flags, *tune, "--at-once", "--initial", 0.5)
    fails(
        "--apply-masks decides what is pruned: leave out --keep",
        *flags,
        "--apply-masks",
        weights,
        "--keep",
        5,
    )
    fails("no such file: nomodel", "nomodel", "-o", tmp_path / "out.safetensors")


def test_masks_at_once_are_held(tmp_path: Path, weights: Path, faces: Path) -> None:
    file, out = tmp_path / "m.safetensors", tmp_path / "out.safetensors"
    tune = ["--finetune", "32:1", "--data", faces, "--quiet", "--batch-size", 8]
    summary(weights, "-o", out, "--masks", file, "--at-once", *tune, "--sparsity", 0.7)
    assert Masks.load(file) == find_masks(load_model(weights)[0], "l1", 0.7)
    Masks.load(file).check(load_model(out)[0])


def test_milliseconds_are_met_and_told(
    tmp_path: Path, weights: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paired, "PairedTimer", CountingTimer)
    out, file = tmp_path / "out.safetensors", tmp_path / "m.safetensors"
    asked = [weights, "-o", out, "--scope", "latency", "--speedup", 2, "--masks", file]
    report = summary(*asked, "--method", "snip", "--data", faces, "--score-images", 8, "--whole", "head")
    took = report["latency"]
    assert took["measured"]
    assert not took["int8"]
    assert took["ms"] == pytest.approx(took["dense_ms"] / 2, rel=0.02)
    rows = {row["name"]: row for row in report["layers"]}
    assert rows["head"]["density"] == rows["blocks.0.body.1.depthwise"]["density"] == 1
    assert len({row["density"] for row in rows.values()}) > 2
    result = run(*asked, "--method", "random", "--int8", "--threads", 1)
    assert result.exit_code == 0, result.output
    assert "both in 8-bit integers: 2" in result.stdout
    assert load_model(out)[1].notes["latency"] in result.stdout
    run(weights, "-o", out, "--apply-masks", file)
    assert "latency" in load_model(out)[1].notes


def test_contradictions_of_milliseconds(tmp_path: Path, weights: Path, faces: Path) -> None:
    flags = (weights, "-o", tmp_path / "out.safetensors")
    latency = (*flags, "--scope", "latency")
    fails("--speedup, --int8 needs --scope latency, or --calibrate DIR", *flags, "--speedup", 2, "--int8")
    fails("--scope latency needs either --speedup or --latency", *latency)
    fails("needs either", *latency, "--latency", "3ms", "--speedup", 2)
    fails("'3' is no duration", *latency, "--latency", "3")
    fails("leave out --sparsity", *latency, "--speedup", 2, "--sparsity", 0.5)
    fails("leave out --structured", *latency, "--speedup", 2, "--structured", "output")
    tune = ("--finetune", "32:1", "--data", faces, "--quiet")
    fails("--speedup: a schedule cannot follow this; add --at-once", *latency, "--speedup", 2, *tune)


def test_help_has_examples() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "sparsenet prune student.safetensors -o pruned.safetensors" in result.output
    assert "SIZE:EPOCHS" in result.output
