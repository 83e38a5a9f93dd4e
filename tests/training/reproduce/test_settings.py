"""Scales: whole, storable, and refused where they cannot work."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from sparsenet.errors import DataError, InputError
from tests.training.reproduce.tiny import TINY
from training.reproduce.settings import ComparisonSettings, Settings


@pytest.mark.parametrize(
    "settings", [TINY, Settings.preset("small"), Settings.preset("small", "f"), Settings.preset("paper", "f")]
)
def test_what_is_saved_is_loaded(settings: Settings, tmp_path: Path) -> None:
    settings.save(tmp_path / "settings.json")
    assert Settings.load(tmp_path / "settings.json") == json_round_trip(settings)


def json_round_trip(settings: Settings) -> Settings:
    """Pairs in free-form options are lists after JSON; everything with a type of its own is not."""
    return dataclasses.replace(settings, augment=json.loads(json.dumps(settings.augment)))


def test_saving_the_same_again_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    TINY.save(path)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    TINY.save(path)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    dataclasses.replace(TINY, images=33).save(path)
    assert Settings.load(path).images == 33


def test_the_paper_scale_is_the_papers_own() -> None:
    paper = Settings.preset("paper", "faces")
    assert (paper.maskcnn.epochs, paper.maskcnn.batch_size, paper.maskcnn.lr) == (20, 64, 8e-3)
    assert paper.maskcnn.ratios == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85)
    assert (paper.students.temperature, paper.students.alpha, paper.students.sparsity) == (5.0, 0.1, 0.8)
    assert (paper.snip.model, paper.snip.epochs, paper.snip.batch_size) == ("retinaface-resnet50", 100, 2)
    assert (paper.snip.optimizer, paper.snip.lr, paper.snip.decay_at) == ("sgd", 1e-3, (0.7, 0.9))
    with pytest.raises(InputError, match="--data"):
        Settings.preset("paper")


def test_what_cannot_work_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tables"):
        Settings(sections=("tables",))
    with pytest.raises(InputError, match=r"0\.9"):
        Settings(comparison=ComparisonSettings(sparsities=(0.9,), levels=(0.5,)))
    with pytest.raises(InputError, match="huge"):
        Settings.preset("huge")  # type: ignore[arg-type]
    (tmp_path / "settings.json").write_text('{"scale": "small", "colour": 1}')
    with pytest.raises(DataError, match="colour"):
        Settings.load(tmp_path / "settings.json")
    with pytest.raises(DataError, match="absent"):
        Settings.load(tmp_path / "absent.json")
