"""Lottery tickets: what each level starts from and keeps, and that a killed run ends as an undisturbed one does."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import Tensor, nn

from sparsenet.cli import main
from sparsenet.errors import CheckpointError, InputError, MaskError
from tests.full import FULL
from training.pruning import Masks, find_masks
from training.pruning.block_shape import Block
from training.pruning.lottery_curve import save_curve
from training.pruning.lottery_ticket import LevelRecord, LotterySettings, by_rate, draw_tickets
from training.pruning.rewind import Rewind, Snapshot

ROOT = Path(__file__).resolve().parents[3]


def make(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


class Regression:
    """Eight plain gradient steps towards a fixed target; remembers what it was given to start from."""

    steps = 8

    def __init__(self) -> None:
        self.started: dict[str, tuple[dict[str, Tensor], int]] = {}

    def identity(self) -> dict[str, Any]:
        return {"task": "regression", "steps": self.steps}

    def data(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(5)
        return torch.randn(32, 6, generator=generator), torch.randn(32, 3, generator=generator)

    def train(self, model: nn.Module, hooks: list, checkpoint: Path, first_step: int) -> nn.Module:
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self.started[checkpoint.stem] = state, first_step
        x, y = self.data()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
        for step in range(first_step + 1, self.steps + 1):
            optimizer.zero_grad()
            ((model.train()(x) - y) ** 2).mean().backward()
            optimizer.step()
            for hook in hooks:
                hook.after_step(step, model)
        return model.eval()

    def test(self, model: nn.Module) -> dict[str, float]:
        x, y = self.data()
        with torch.no_grad():
            return {"accuracy": 1 - float(((model(x) - y) ** 2).mean())}

    def save(self, path: Path, model: nn.Module, notes: dict[str, str]) -> None:
        from safetensors.torch import save_file

        save_file(model.state_dict(), path, notes)


SETTINGS = LotterySettings((0.5, 0.75), seed=3)


def draw(folder: Path, **changes: Any) -> tuple[Regression, list[LevelRecord]]:
    trainer = Regression()
    return trainer, draw_tickets(make, trainer, dataclasses.replace(SETTINGS, **changes), folder)


def surviving(state: dict[str, Tensor], masks: Masks) -> dict[str, Tensor]:
    return {name: tensor * masks[name] if name in masks else tensor for name, tensor in state.items()}


def assert_same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_each_level_prunes_the_smallest_weights_of_the_last_and_starts_at_the_beginning(
    tmp_path: Path,
) -> None:
    trainer, records = draw(tmp_path, controls=())
    assert [(r.level, r.network) for r in records] == [(0, "dense"), (1, "ticket"), (2, "ticket")]
    assert [r.sparsity for r in records] == [0, 0.5, 0.75]
    within = None
    for level, sparsity in ((1, 0.5), (2, 0.75)):
        before = make(0)
        before.load_state_dict(load_file(tmp_path / f"level-{level - 1:02d}.safetensors"))
        masks = Masks.load(tmp_path / f"level-{level:02d}.masks.safetensors")
        assert masks == find_masks(before, "l1", sparsity, scope="global", within=within)
        started, step = trainer.started[f"level-{level:02d}"]
        assert step == 0
        assert_same(started, surviving(make(3).state_dict(), masks))
        masks.check(_loaded(tmp_path / f"level-{level:02d}.safetensors"))
        within = masks


def _loaded(path: Path) -> nn.Module:
    model = make(0)
    model.load_state_dict(load_file(path))
    return model


def test_early_rewinding_goes_on_from_the_step(tmp_path: Path) -> None:
    trainer, _ = draw(tmp_path, rewind=Rewind("early", 3))
    snapshot = Snapshot(3)
    Regression().train(make(3), [snapshot], tmp_path / "x", 0)
    assert snapshot.state is not None
    for name in ("level-01", "level-02", "level-01-shuffled"):
        started, step = trainer.started[name]
        masks = Masks.load(tmp_path / f"{name}.masks.safetensors")
        assert step == 3
        assert_same(started, surviving(snapshot.state, masks))
    assert not torch.equal(snapshot.state["1.running_mean"], make(3).state_dict()["1.running_mean"])


def test_fresh_weights_differ_at_every_level(tmp_path: Path) -> None:
    trainer, _ = draw(tmp_path, rewind=Rewind("fresh"), controls=("reinitialised",))
    for level, seed in ((1, 4), (2, 5)):
        masks = Masks.load(tmp_path / f"level-{level:02d}.masks.safetensors")
        assert_same(trainer.started[f"level-{level:02d}"][0], surviving(make(seed).state_dict(), masks))
    states = [state for state, _ in trainer.started.values()]
    weights = {tuple(state["3.weight"][state["3.weight"] != 0].tolist()) for state in states}
    assert len(weights) == len(states) == 5


@pytest.mark.parametrize("block", [None, (1, 4)])
def test_controls(tmp_path: Path, block: Block | None) -> None:
    trainer, records = draw(tmp_path, controls=("shuffled", "reinitialised"), block=block)
    assert [r.network for r in records] == ["dense"] + ["ticket", "shuffled", "reinitialised"] * 2
    for level in ("level-01", "level-02"):
        ticket, shuffled, again = (
            Masks.load(tmp_path / f"{level}{control}.masks.safetensors")
            for control in ("", "-shuffled", "-reinitialised")
        )
        assert ticket == again
        assert shuffled != ticket
        assert shuffled.density_per_layer() == ticket.density_per_layer()
        for mask in (*ticket.values(), *shuffled.values()) if block else ():
            assert all(part.unique().numel() == 1 for row in mask for part in row.split(4))
        assert_same(trainer.started[f"{level}-shuffled"][0], surviving(make(3).state_dict(), shuffled))
        start = trainer.started[f"{level}-reinitialised"][0]
        assert not any(torch.equal(make(seed).state_dict()["0.weight"] * ticket["0.weight"], start["0.weight"])
                       for seed in (3, 4, 5))  # fmt: skip


def test_a_finished_run_is_only_read(tmp_path: Path) -> None:
    _, first = draw(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    trainer, second = draw(tmp_path)
    assert second == first
    assert trainer.started == {}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times


@pytest.mark.parametrize("lost", ["level-02.json", "level-01-shuffled.json", "level-00.json"])
def test_what_was_not_finished_is_made_again(tmp_path: Path, lost: str) -> None:
    _, first = draw(tmp_path)
    weights = (tmp_path / lost).with_suffix(".safetensors")
    before = load_file(weights)
    (tmp_path / lost).unlink()
    weights.unlink()
    trainer, second = draw(tmp_path)
    assert second == first
    assert list(trainer.started) == [lost.removesuffix(".json")]
    assert_same(load_file(weights), before)


def test_another_run_in_the_folder(tmp_path: Path) -> None:
    draw(tmp_path)
    with pytest.raises(CheckpointError, match="another run: its seed is 3, now 4"):
        draw(tmp_path, seed=4)
    with pytest.raises(CheckpointError, match="its sparsities is"):
        draw(tmp_path, sparsities=(0.5,))


def test_damage_is_named(tmp_path: Path) -> None:
    draw(tmp_path)
    (tmp_path / "level-01.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"level-01\.json is damaged"):
        draw(tmp_path)
    (tmp_path / "level-01.json").unlink()
    (tmp_path / "level-00.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match=r"level-00\.safetensors is missing, damaged"):
        draw(tmp_path)
    (tmp_path / "settings.json").write_text("[")
    with pytest.raises(CheckpointError, match="remove the folder"):
        draw(tmp_path)


def test_bad_settings(tmp_path: Path) -> None:
    for wrong in ((), (0.0,), (0.5, 0.4), (0.5, 1.0)):
        with pytest.raises(InputError, match="must rise"):
            LotterySettings(wrong)
    with pytest.raises(InputError, match="controls must be one of shuffled"):
        LotterySettings((0.5,), controls=("none",))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="step of 1 and more"):
        Rewind("early")
    with pytest.raises(InputError, match="got 'late'"):
        Rewind("late")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="8 steps: it cannot be rewound to step 8"):
        draw(tmp_path, rewind=Rewind("early", 8))
    with pytest.raises(MaskError, match="'nowhere'"):
        draw(tmp_path, include=("nowhere",))


def test_levels_by_rate() -> None:
    assert by_rate(3, 0.2) == pytest.approx((0.2, 0.36, 0.488))
    with pytest.raises(InputError):
        by_rate(0)
    with pytest.raises(InputError):
        by_rate(3, 1.0)


def test_curve_files(tmp_path: Path) -> None:
    _, records = draw(tmp_path, controls=("shuffled", "reinitialised"))
    files = save_curve(records, tmp_path)
    assert [file.name for file in files] == ["curve.csv", "curve.json", "curve.png"]
    lines = files[0].read_text().splitlines()
    assert lines[0] == "level,network,sparsity,density,kept,total,accuracy"
    assert len(lines) == 1 + len(records)
    assert lines[2].startswith("1,ticket,0.5,0.5,72,144,")
    assert [LevelRecord(**values) for values in json.loads(files[1].read_text())] == records
    assert files[2].read_bytes().startswith(b"\x89PNG")
    before = [file.read_bytes() for file in files]
    save_curve(records, tmp_path)
    assert [file.read_bytes() for file in files] == before


COMMAND = (
    "lottery minixception-128 --images 32 --stages 16:3 --batch-size 16 --levels 2 --rate 0.5 --rewind epoch:1 "
    "--threads 1 --seed 2 --precision fp32 -o"
)


def run_killed(folder: Path, log: Path, count: int) -> int:
    """The command until it is killed after so many epochs, what it says at the end of ``log``; its exit code."""
    with log.open("ab") as file:
        return subprocess.run(
            [sys.executable, "-m", "tests.killed", str(count), *COMMAND.split(), str(folder)],
            stdout=file, stderr=file, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"},
        ).returncode  # fmt: skip


def epochs(log: str) -> int:
    return sum(line.startswith("epoch ") for line in log.splitlines())


@pytest.mark.slow
def test_sigkill_costs_an_epoch_at_most_and_changes_nothing(tmp_path: Path) -> None:
    """Killed in a later network and, at full length, in the dense one, behind the early step, before that."""
    quiet, killed, log = tmp_path / "quiet", tmp_path / "killed", tmp_path / "killed.log"
    undisturbed = CliRunner().invoke(main, [*COMMAND.split(), str(quiet)])
    assert undisturbed.exit_code == 0, undisturbed.output
    for count in (2, 5) if FULL else (7,):
        assert run_killed(killed, log, count) == -signal.SIGKILL, log.read_text()
    resumed = CliRunner().invoke(main, [*COMMAND.split(), str(killed)])
    assert resumed.exit_code == 0, resumed.output
    names = sorted(path.name for path in quiet.iterdir())
    assert sorted(path.name for path in killed.iterdir() if not path.name.startswith(".")) == names
    assert not any(name.endswith(".checkpoint") for name in names)
    for name in names:
        if name.endswith(".safetensors"):
            assert_same(load_file(killed / name), load_file(quiet / name))
        else:
            assert (killed / name).read_bytes() == (quiet / name).read_bytes(), name
    whole = 3 + 4 * 2  # three epochs of the dense network, two after the early step of each other
    assert epochs(undisturbed.stderr) == whole
    # An epoch is reported before its checkpoint is written: each of the two kills may repeat one.
    assert whole <= epochs(log.read_text()) + epochs(resumed.stderr) <= whole + 2
