"""The page about clusters: its programs run as they stand there, on processes of this machine."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sparsenet
from sparsenet.engine import Engine
from sparsenet.io.input_files import read_image
from tests.sparsenet.sample_graphs import tiny_graph
from tests.training.reproduce.tiny import tiny
from training.reproduce.sweep import run

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/clusters.md").read_text()
FILES = dict(re.findall(r"```\w+\n# ([\w.]+)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the network says of 20 images in ``images/``, after which there is a broken one."""
    monkeypatch.chdir(tmp_path)
    for name, body in FILES.items():
        Path(name).write_text(body)
    graph = tiny_graph()
    graph.outputs = ["logits"]
    sparsenet.save(graph, "model.safetensors")
    Path("images").mkdir()
    colours = np.random.default_rng(0).integers(0, 255, (20, 8, 8, 3), np.uint8)
    for number, pixels in enumerate(colours):
        Image.fromarray(pixels).save(f"images/{number:02}.png")
    paths = sorted(Path("images").iterdir())
    engine = sparsenet.load("model.safetensors", 1)
    found = [int(engine(read_image(path, engine.inputs[0], engine.metadata)).argmax()) for path in paths]
    assert len(set(found)) > 1
    Path("images/broken.png").write_text("no image")
    return found


def follow(program: str, *arguments: str) -> list[int]:
    """The answers that a program of the page prints, file by file in order, until the broken one stops it."""
    command = [sys.executable, program, "model.safetensors", "images", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert re.search(r"InputError: \S*images/broken\.png: not an image", done.stderr), done.stderr
    assert re.search(r"^while working on \S*images/broken\.png$", done.stderr, re.MULTILINE)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [Path(path).name for path, _ in lines] == [f"{number:02}.png" for number in range(20)]
    return [int(answer) for _, answer in lines]


def test_a_pool_of_processes(answers: list[int]) -> None:
    assert follow("bulk.py") == answers


def test_a_dask_cluster(answers: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers beside the scheduler, as two machines would be; each makes the engine once."""
    distributed = pytest.importorskip("distributed")
    made = []
    begin = Engine._begin
    monkeypatch.setattr(Engine, "_begin", lambda *args: (made.append(1), begin(*args)))
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        assert follow("bulk_dask.py", cluster.scheduler_address) == answers
    assert len(made) == 2


def test_training_in_two_processes(tmp_path: Path) -> None:
    """The page's line on few small images; that the network is that of one process, test_train.py asks."""
    (line,) = re.findall(r"^torchrun (--nproc-per-node 2 .* sparsenet train .*)$", PAGE, re.MULTILINE)
    words = shlex.split(line.replace("--images 200 --stages 48:2", "--images 16 --stages 32:1"))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launcher, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("accuracy") == done.stderr.count("epoch 1 at 32²") == 1
    assert (tmp_path / "student.safetensors").is_file()


def test_a_sweep_through_a_scheduler(tmp_path: Path, answers: list[int]) -> None:
    """One cell, submitted and asked for by the page's scripts."""
    pytest.importorskip("snakemake_executor_plugin_cluster_generic")
    (command,) = re.findall(
        r"^sparsenet reproduce .* -- (--executor cluster-generic.*\\\n.*)$", PAGE, re.MULTILINE
    )
    options = shlex.split(command.replace("\\\n", " ").replace("$PWD", str(tmp_path)))
    options += ["--seconds-between-status-checks", "1", "images/test-32.safetensors"]
    run(tiny("comparison"), tmp_path / "out", cores=1, options=options, quiet=True)
    assert (tmp_path / "out/images/test-32.safetensors").is_file()
    assert [path.read_text() for path in (tmp_path / "jobs").glob("*[0-9]")] == ["0\n"]
