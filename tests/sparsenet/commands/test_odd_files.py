"""Files, outputs and numbers that no command can use: one line, exit code 2, nothing written and nobody waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import sparsenet
from sparsenet.cli import main
from sparsenet.graph import Graph, Node, TensorInfo

pytest.importorskip("torch")

SECONDS = 30

# What is read, by command; @ is the file in question.
READERS = {
    "info": "info @",
    "run": "run @ --random",
    "run-input": "run model --input @",
    "profile": "profile @ --runs 1",
    "explain": "explain @",
    "compile": "compile @ -o out",
    "detect": "detect @ image.png",
    "detect-image": "detect model @",
    "convert": "convert @ -o out --no-speed",
    "bench": "bench @ --time 0.01 --warmup-time 0",
    "predict": "predict @",
    "train-data": "train maskcnn -o out --stages 32:1 --data @",
    "evaluate": "evaluate @",
    "distill-teacher": "distill maskcnn -o out --stages 32:1 --teacher @",
    "distill-start": "distill maskcnn -o out --stages 32:1 --teacher weights --start @",
    "prune": "prune @ -o out --at-once",
    "prune-masks": "prune weights -o out --apply-masks @",
    "train-detector-start": "train-detector retinaface-mobilenet0.25 -o out --start @",
    "train-detector-backbone": "train-detector retinaface-mobilenet0.25 -o out --backbone @",
    "train-detector-annotations": "train-detector retinaface-mobilenet0.25 -o out --annotations @",
    "evaluate-detector": "evaluate-detector @",
    "demo-data": "demo --data @ --out out",
    "reproduce-data": "reproduce --data @ --out out",
    "reproduce-backbone": "reproduce --backbone @ --out out",
}
FILES = (
    *("folder", "empty", "text", "cut", "array.npz", "pipe", "pipe.npy", "/dev/null", "missing", "loop"),
    *("locked", "odd\x1b[31m\n", "model/below", "x" * 300),
)

WRITERS = {
    "run": "run model --random --output @",
    "detect": "detect model image.png -o @",
    "convert": "convert weights --no-speed -o @",
    "bench-json": "bench model --engines ours --time 0.01 --warmup-time 0 --export-path @",
    "bench-trace": "bench model --engines ours --time 0.01 --warmup-time 0 --trace @",
    "train": "train maskcnn --stages 32:1 -o @",
    "distill": "distill maskcnn --stages 32:1 --teacher weights -o @",
    "prune": "prune weights --at-once -o @",
    "prune-masks": "prune weights --at-once -o out --masks @",
    "lottery": "lottery maskcnn --stages 32:1 --levels 1 --images 8 -o @",
    "train-detector": "train-detector retinaface-mobilenet0.25 --scenes 2 --epochs 1 -o @",
    "demo": "demo --out @",
    "reproduce": "reproduce --out @",
}
OUTPUTS = ("/dev/full", "pipe", "loop", "model/below")
# Commands that write into a folder make it.
FILES_ONLY = ("folder", "missing/out", "closed/out")
FOLDERS = ("lottery", "demo", "reproduce")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, weights and an image that are right, and much that is not."""
    from training.checkpoint import ModelInfo, save_model
    from training.data.maskedface_net import CLASS_NAMES
    from training.models import build_model

    path = tmp_path_factory.mktemp("odd")
    weight = np.zeros((2, 3, 4, 4), np.float32)
    nodes = [
        Node("conv2d", "sum", ["input", "weight"], ["map"]),
        Node("flatten", "flat", ["map"], ["y"]),
    ]
    graph = Graph("sums", [TensorInfo("input", (None, 3, 4, 4))], ["y"], nodes, {"weight": weight})
    sparsenet.save(graph, path / "model")
    info = ModelInfo("maskcnn", CLASS_NAMES, 32, task="4-class", seed=0)
    save_model(path / "weights", build_model("maskcnn", len(CLASS_NAMES), 0), info)
    Image.new("RGB", (8, 8)).save(path / "image.png")
    np.savez(path / "array.npz", a=np.ones(3))
    (path / "folder").mkdir()
    (path / "folder" / "inside").touch()
    (path / "closed").mkdir(mode=0o500)
    (path / "empty").touch()
    (path / "text").write_text("hello\n" * 9)
    (path / "odd\x1b[31m\n").write_text("hello\n" * 9)
    (path / "locked").touch(mode=0o000)
    (path / "cut").write_bytes((path / "weights").read_bytes()[:1000])
    (path / "loop").symlink_to("loop")
    for name in ("pipe", "pipe.npy"):
        os.mkfifo(path / name)
    return path


@pytest.fixture(autouse=True)
def _in_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever is tried leaves everything as it was, within a time."""

    def late(*_: object) -> None:
        pytest.fail(f"it still runs after {SECONDS} seconds")

    monkeypatch.chdir(folder)
    before = _state(folder)
    handler = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, handler)
    assert _state(folder) == before


def _state(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Mode, size and time of everything in the folder."""
    return {
        str(path): (stat.st_mode, stat.st_size, stat.st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        for stat in (path.lstat(),)
    }


def refused(*arguments: str) -> str:
    """The only line that the command leaves."""
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), (arguments, result.exception)
    assert result.exit_code == 2, (arguments, result.output)
    assert result.stdout == "", arguments
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: "), arguments
    assert line.isprintable(), arguments
    return line


def _with(command: str, value: str) -> list[str]:
    return [value if word == "@" else word for word in command.split()]


@pytest.mark.parametrize("command", READERS.values(), ids=READERS)
def test_a_file_that_cannot_be_read(command: str) -> None:
    for file in FILES:
        refused(*_with(command, file))


@pytest.mark.parametrize("command", WRITERS.values(), ids=WRITERS)
def test_an_output_that_cannot_be_written(command: str) -> None:
    root = os.geteuid() == 0  # who may write anywhere
    for output in (*OUTPUTS, *(FILES_ONLY if command.split()[0] not in FOLDERS else ())):
        if not (root and output.startswith("closed/")):
            refused(*_with(command, output))


def _numeric() -> list[tuple[str, str, int]]:
    """Every option of a number: command, option, how many values it takes."""
    context = click.Context(main)
    found = []
    for name in main.list_commands(context):  # type: ignore[attr-defined]
        command = main.get_command(context, name)  # type: ignore[attr-defined]
        found += [
            (name, parameter.opts[0], parameter.nargs)
            for parameter in command.params
            if isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType)
        ]
    return found


def test_real_options_take_only_finite_numbers() -> None:
    for name, option, count in _numeric():
        parameter = next(
            p
            for p in main.get_command(click.Context(main), name).params  # type: ignore[attr-defined]
            if p.opts[0] == option
        )
        for value in ("nan", "inf", "-inf", "1e400", "word", ""):
            with pytest.raises(click.BadParameter):
                parameter.type_cast_value(
                    click.Context(main), [value] * count if count > 1 or parameter.multiple else value
                )


@pytest.mark.parametrize(
    "arguments",
    [
        "run model --random --batch 1000000000000000000000000000000",
        "run model --random --seed -1",
        "bench model --quiet --batch-size 1000000000000000000000000000000",
        "bench model --quiet --batch-size 2147483648",
        "run model --random --threads 1000000000000000000000000000000",
        "train maskcnn -o out --images 1000000000000000000000000000000",
        "train maskcnn -o out --images 2147483647",
        "train maskcnn -o out --threads 2147483648",
        "train maskcnn -o out --stages 32:1 --seed -1",
        "train-detector retinaface-mobilenet0.25 -o out --seed -1",
        "train-detector retinaface-mobilenet0.25 -o out --scenes 1000000000000000000000000000000",
        "lottery maskcnn -o out --threads 1000000000000000000000000000000",
    ],
)
def test_numbers_beyond_what_a_machine_has(arguments: str) -> None:
    refused(*arguments.split())


def test_a_link_keeps_pointing_and_the_source_is_kept(folder: Path, tmp_path: Path) -> None:
    target, link = tmp_path / "target.npz", tmp_path / "link.npz"
    target.touch()
    link.symlink_to(target)
    result = CliRunner().invoke(main, ["run", "model", "--random", "--output", str(link)])
    assert result.exit_code == 0, result.output
    assert link.is_symlink()
    assert target.stat().st_size
    assert "same file" in refused("run", "model", "--random", "--output", "model")
    assert "same file" in refused("convert", "weights", "-o", "weights", "--no-speed")


def test_weights_are_known_by_what_the_file_holds(folder: Path, tmp_path: Path) -> None:
    from training.trained import open_model

    named = tmp_path / "weights.pt"
    named.write_bytes((folder / "weights").read_bytes())
    assert open_model(named)[1].model == "maskcnn"


@pytest.mark.parametrize("arguments", ["--help", "info model", "run model --random"])
def test_closed_standard_output_is_no_traceback(arguments: str) -> None:
    command = f'exec "$0" -m sparsenet {arguments} >&-'
    done = subprocess.run(["/bin/sh", "-c", command, sys.executable], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1, done.stderr
