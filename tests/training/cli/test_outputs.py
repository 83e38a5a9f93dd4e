"""What a training command writes never replaces what it reads: weights, masks, annotations and images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from sparsenet.cli import main


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(4):
            pixels = rng.integers(0, 255, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    (tmp_path / "label.txt").write_text(
        "# a/0.png\n1 1 8 8 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1 -1\n"
    )
    return tmp_path


TRAINING = ["--data", "{data}", "--threads", "1", "--quiet"]
COMMANDS = {
    "train": ["train", "maskcnn", *TRAINING],
    "distill": ["distill", "maskcnn", "--teacher", "{data}/t", *TRAINING],
    "prune": ["prune", "maskcnn", "--finetune", "16:1", *TRAINING],
    "train-detector": [
        "train-detector", "retinaface-mobilenet0.25", "--annotations", "{data}/label.txt", "--quiet",
    ],
}  # fmt: skip


@pytest.mark.parametrize("option", ["-o", "--checkpoint"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_image_is_replaced(command: str, option: str, data: Path) -> None:
    image = data / "a" / "0.png"
    before = image.read_bytes()
    output = ["-o", str(data / "new"), option, str(image)]
    result = CliRunner().invoke(main, [part.format(data=data) for part in COMMANDS[command]] + output)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(f"error: {image}: is ")
    assert "which is read; choose another name" in result.stderr
    assert image.read_bytes() == before
    assert not (data / "new").exists()


def test_of_several_processes_the_first_writes_and_reports(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As torchrun tells the second one, whose neighbours this test leaves out."""
    monkeypatch.setenv("RANK", "1")
    train = ["train", "minixception-128", "--stages", "32:1", "--batch-size", "4", "-o", str(data / "new")]
    result = CliRunner().invoke(main, [*train, "--data", str(data), "--threads", "1"])
    assert (result.exit_code, result.output) == (0, "")
    assert not (data / "new").exists()
