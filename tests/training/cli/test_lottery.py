"""``sparsenet lottery``: networks that other commands open, a curve as table, JSON and picture; errors in one line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from sparsenet.cli import main
from training.checkpoint import load_model
from training.pruning import Masks

SMALL = ("--images", 16, "--stages", "16:1", "--batch-size", 8, "--threads", 1, "--precision", "fp32")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["lottery", *map(str, arguments)])


def fails(message: str, *arguments: object) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Dense, two levels, one control: five networks."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("lottery") / "run"
    result = run(
        "minixception-128", "-o", folder, "--sparsity", "0.5", "0.8", "--exclude", "head", *SMALL, "--json"
    )
    assert result.exit_code == 0, result.output
    return folder, json.loads(result.stdout)


def test_json_csv_and_files_agree(drawn: tuple[Path, dict]) -> None:
    folder, told = drawn
    assert told["files"] == [str(folder / f"curve.{kind}") for kind in ("csv", "json", "png")]
    with (folder / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["level"], row["network"]) for row in rows] == [
        ("0", "dense"), ("1", "ticket"), ("1", "shuffled"), ("2", "ticket"), ("2", "shuffled"),
    ]  # fmt: skip
    for row, line in zip(rows, told["curve"], strict=True):
        assert {name: str(value) for name, value in line.items()} == row
        assert line["sparsity"] + line["density"] == 1
    for level, sparsity in ((1, 0.5), (2, 0.8)):
        model, info = load_model(folder / f"level-{level:02d}.safetensors")
        masks = Masks.load(folder / f"level-{level:02d}.masks.safetensors")
        masks.check(model)
        assert "head.weight" not in masks
        assert masks.sparsity == pytest.approx(sparsity, abs=1e-4)
        assert info.model == "minixception-128"
        assert info.notes["lottery"] == f"level {level}, ticket"


def test_a_second_call_only_reads(drawn: tuple[Path, dict]) -> None:
    folder, told = drawn
    result = run("minixception-128", "-o", folder, "--sparsity", "0.5", "0.8", "--exclude", "head", *SMALL)
    assert result.exit_code == 0
    assert result.stderr == ""
    table = result.stdout.splitlines()
    assert table[0].split()[:5] == ["level", "network", "sparsity", "kept", "total"]
    assert len(table) == 2 + len(told["curve"]) + 2
    assert "curve.png" in table[-1]


def test_progress_is_told_on_stderr_and_quiet_is_quiet(tmp_path: Path) -> None:
    flags = ["minixception-128", "--levels", 1, "--control", "none", *SMALL]
    result = run(*flags, "-o", tmp_path / "a")
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == [
        "level 0 of 1", "epoch 1 at 16²", "level 1 of 1", "epoch 1 at 16²",
    ]  # fmt: skip
    quiet = run(*flags, "-o", tmp_path / "b", "--quiet")
    assert quiet.stderr == ""
    assert quiet.stdout.replace("/b/", "/a/") == result.stdout


def test_bad_input(tmp_path: Path, drawn: tuple[Path, dict]) -> None:
    flags = ("minixception-128", "-o", tmp_path / "run", *SMALL)
    fails("'late:2'", *flags, "--rewind", "late:2")
    fails("--rewind is initial, epoch:K, step:K or fresh", *flags, "--rewind", "epoch:0")
    fails("a training has 2 steps: it cannot be rewound to step 2", *flags, "--rewind", "epoch:1")
    fails("--sparsity decides the levels: leave out --rate", *flags, "--sparsity", "0.5", "--rate", 0.3)
    fails("must rise", *flags, "--sparsity", "0.5,0.4")
    fails("'half' is not a valid float", *flags, "--sparsity", "half")
    fails("'nowhere' matches no prunable layer", *flags, "--include", "nowhere")
    fails("another run", "minixception-128", "-o", drawn[0], *SMALL)
    fails("cannot use the folder", "minixception-128", "-o", drawn[0] / "curve.csv", *SMALL)


def test_help_has_examples() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "sparsenet lottery minixception-128 -o tickets" in result.output
    assert "--checkpoint" not in result.output
