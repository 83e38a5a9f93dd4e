"""``sparsenet reproduce``: options become settings; errors in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from sparsenet.cli import main
from training.reproduce import sweep
from training.reproduce.settings import Settings


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the sweep was asked for, in place of doing it."""
    calls: list[Any] = []

    def record(settings: Settings, out: Path, cores: int | None, options: Sequence[str], quiet: bool) -> Path:
        calls.extend([settings, out, cores, list(options), quiet])
        return out / "report.html"

    monkeypatch.setattr(sweep, "run", record)
    return calls


def reproduce(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["reproduce", *arguments])


def test_by_default_everything_is_made_small(asked: list[Any]) -> None:
    result = reproduce()
    assert result.exit_code == 0, result.output
    assert asked == [Settings.preset("small"), Path("reproduce-out"), None, [], False]
    assert "report.html" in result.output


def test_options_reach_the_settings_and_the_rest_snakemake(asked: list[Any], tmp_path: Path) -> None:
    (tmp_path / "faces" / "CMFD").mkdir(parents=True)
    torch.save({}, tmp_path / "resnet50.pth")
    result = reproduce(
        "--scale", "paper", "--data", str(tmp_path / "faces"), "--widerface", str(tmp_path), "--backbone",
        str(tmp_path / "resnet50.pth"), "--only", "comparison", "maskcnn", "--methods", "snip", "snip-1x4",
        "--threads", "2", "--cores", "3", "--quiet", "--out", "here", "--", "--executor", "slurm",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    settings, *rest = asked
    assert rest == [Path("here"), 3, ["--executor", "slurm"], True]
    assert (settings.scale, settings.data, settings.threads) == ("paper", str(tmp_path / "faces"), 2)
    assert settings.sections == ("maskcnn", "comparison")
    assert settings.comparison.methods == ("snip", "snip-1x4")
    assert (settings.snip.data, settings.snip.backbone) == (str(tmp_path), str(tmp_path / "resnet50.pth"))


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--only", "comparison,tables"], "'tables' is not one of 'maskcnn'"),
        (["--methods", "snip", "magic"], "unknown method 'magic': choose of random, snip,"),
        (["--scale", "paper"], "--data"),
        (["--data", "/nowhere"], "/nowhere"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], told: str, asked: list[Any]) -> None:
    result = reproduce(*arguments)
    assert result.exit_code == 2
    assert told in result.output
    assert result.output.count("\n") == 1
    assert asked == []
