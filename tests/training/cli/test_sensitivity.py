"""``sparsenet sensitivity``: a model file and some inputs become tables, JSON and a picture."""

from __future__ import annotations

import json
import xml.etree.ElementTree
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sparsenet.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["sensitivity", *map(str, arguments)], prog_name="sparsenet")


def test_json_and_a_picture(given: list[object], tmp_path: Path) -> None:
    picture = tmp_path / "sensitivity.svg"
    result = run(
        *given, "-o", picture, "--sparsity", "0.5,0.9", "--samples", 20, "--exclude", "head", "--json"
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["samples"] == 20
    assert [layer["layer"] for layer in report["layers"]] == ["stem", "grouped", "point"]
    low, high = report["layers"][0]["points"]
    assert 0 < low["change"] < high["change"]
    assert low["lost"] < high["lost"]
    assert low["ms"] > high["ms"]
    xml.etree.ElementTree.fromstring(picture.read_text())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dense.safetensors",
        "sensitivity.svg",
        "x.npy",
    ]


def test_tables(given: list[object]) -> None:
    result = run(*given, "--sparsity", 0.8)
    assert result.exit_code == 0, result.output
    for words in (
        "Outputs of the network changed by",
        "Variance of the layer lost",
        "Milliseconds",
        "stem",
        "24 samples",
    ):
        assert words in result.stdout, words


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("-o", "picture.txt"), "sensitivity is drawn as one of .png, .svg, .pdf"),
        (("--exclude", "tail"), "no layer with weights is called 'tail'"),
        (("--sparsity", "2"), "2.0 is not in the range"),
        (("--block", "4"), "is no block of input channels"),
    ],
)
def test_what_cannot_be_done_is_one_line(given: list[object], arguments: tuple[str, ...], words: str) -> None:
    result = run(*given, *arguments)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
