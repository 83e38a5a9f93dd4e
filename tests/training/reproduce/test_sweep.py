"""The sweep: every cell planned, killed with SIGKILL in the middle, continued, and as if nothing had happened."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparsenet.errors import DataError, InputError, SparsenetError
from tests.full import FULL
from tests.training.reproduce.runs import Run
from tests.training.reproduce.tiny import TINY, tiny
from training.reproduce.settings import Settings
from training.reproduce.sweep import run

pytest.importorskip("snakemake")

SWEEP = """
import sys
from pathlib import Path
from training.reproduce import Settings, run
run(Settings.load(Path(sys.argv[1])), Path(sys.argv[2]), cores=1, quiet=True)
"""
#: Three cells that learn or measure, between images and report.
SMALL = tiny("comparison", comparison=dataclasses.replace(TINY.comparison, methods=("magnitude",)))
DENSE = "results/comparison/dense-0.0-0.json"


@pytest.mark.parametrize("settings", [TINY, Settings.preset("paper", "faces")], ids=["tiny", "paper"])
def test_the_workflow_makes_every_result_of_the_plan(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(settings, tmp_path, cores=2, options=["report.html", "--dry-run"], quiet=False)
    assert not (tmp_path / "report.html").exists()


def test_one_run_at_a_time_in_a_folder(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another run"):
            run(TINY, tmp_path)


def test_folders_and_cores_that_cannot_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot make the folder"):
        run(TINY, tmp_path / "file" / "out")
    with pytest.raises(InputError, match="cores"):
        run(TINY, tmp_path / "out", cores=0)


def test_a_cell_that_fails_says_why_and_keeps_what_is_done(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = dataclasses.replace(SMALL, data=str(tmp_path / "absent"))
    with pytest.raises(SparsenetError, match="goes on from here"):
        run(settings, tmp_path / "out", cores=1, options=["images/test-32.safetensors"])
    assert "absent" in (tmp_path / "out" / "logs/images/test-32.log").read_text()


@pytest.mark.slow
def test_a_killed_sweep_repeats_only_what_was_not_finished(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    settings = tmp_path / "asked.json"
    SMALL.save(settings)
    with subprocess.Popen([sys.executable, "-c", SWEEP, str(settings), str(killed)]) as sweep:
        deadline = time.monotonic() + 600
        # Magnitude pruning has begun, so the network it starts from is finished.
        while not list(killed.glob("logs/comparison/*-0.8-0.log")):
            assert sweep.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        sweep.send_signal(signal.SIGKILL)
    assert sweep.returncode == -signal.SIGKILL
    before = states(killed)
    assert DENSE in before
    assert "report.html" not in before

    run(SMALL, killed, cores=1)
    after = states(killed)
    assert {name: after[name] for name in before} == before
    if FULL:  # that cells repeat is tested apart
        Run(SMALL, whole).comparison()
        assert results(killed) == results(whole)
    assert (killed / "tables/comparison.csv").exists()

    # Once more: only what a changed setting concerns.
    capfd.readouterr()
    run(dataclasses.replace(SMALL, seconds=0.03), killed, cores=1, options=["report.html", "--dry-run"])
    planned = dict(re.findall(r"^(\w+) +(\d+)$", capfd.readouterr().out, re.MULTILINE))
    assert planned == {"latency": "1", "report": "1", "total": "2"}


def states(folder: Path) -> dict[str, int]:
    """When each result, weights and model file was written."""
    files = [path for name in ("results", "comparison", "images") for path in (folder / name).rglob("*.*")]
    files += folder.glob("report.html")
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in files
        if path.suffix != ".checkpoint" and not path.name.startswith(".")
    }


def results(folder: Path) -> dict[str, object]:
    """What was found; times differ from run to run."""
    found = {
        path.name: json.loads(path.read_text()) for path in (folder / "results/comparison").glob("*.json")
    }
    models = {path.name: path.read_bytes() for path in (folder / "comparison/models").glob("*.safetensors")}
    return found | models
