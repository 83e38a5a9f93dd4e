"""What is wrong with the command line of ``python -m bench.…`` is one line, said before any work."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner

from bench.measure.command import BenchCommand, Parser, run
from bench.subjects.networks import build_graph
from sparsenet.errors import InputError

FILE, FOLDER, TEXT = "<file>", "<folder>", "<text>"
WRONG = {
    "against": ["--models nosuch", "--engines nosuch", "--seconds nan", "--sparsity", "--batch -1", f"--json {FOLDER}"],
    "break_even": ["--sparsity nan", "--threads 0", "--rounds -3"],
    "cuda": ["--batch x", f"--json {FOLDER}", "--models"],
    "dense_shapes": ["--only nosuch", "--rounds nan"],
    "gate.trial": ["--runs -1", "--runs 0 --planted 0", "--runs 0 --record", f"--json {FOLDER}"],
    "kernels": ["--family nosuch", "--lanes 3", f"--json {FOLDER}", f"--markdown {FOLDER}/none/file"],
    "limits": ["--rounds 2", "nosuch"],
    "movement": ["nosuch", "transposed twice"],
    "noise": ["--model nosuch", "--threads 1025", f"--json {FOLDER}", "--tries nan"],
    "report": ["--model nosuch", "--engine nosuch", "--threads 1000", f"-o {FILE}/folder", "--seconds inf"],
    "speed_table": ["", "nosuch", FOLDER, FILE, TEXT],
    "start_up": ["--model nosuch", "--size 7", "--sparsity 2", "--rounds nan", f"--json {FOLDER}"],
    "threads": ["--model nosuch", "--threads 1", "--sparsity 1", f"--json {FOLDER}"],
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")  # other tests import it
@pytest.mark.parametrize("module, words", [(name, words) for name, all_ in WRONG.items() for words in all_])
def test_a_wrong_command_line_is_one_line(
    module: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(bytes(range(256)))
    (tmp_path / "text").write_text('{"results": [{"model": 3}], "settings": {}}')
    for name in (FILE, FOLDER, TEXT):
        words = words.replace(name, str(tmp_path / name.strip("<>")))
    monkeypatch.setattr(sys, "argv", ["-", *words.split()])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"bench.{module}", run_name="__main__")
    written = capfd.readouterr()
    assert ended.value.code == 2
    assert written.err.startswith("error: ")
    assert written.err.count("\n") == 1
    assert not written.out
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "text"]


def interrupted() -> NoReturn:
    raise KeyboardInterrupt


def test_ctrl_c_is_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    done = CliRunner().invoke(BenchCommand("some", callback=interrupted), [])
    assert (done.exit_code, done.stderr.strip()) == (1, "Aborted!")
    with pytest.raises(SystemExit) as ended:
        run(interrupted, "bench.some")
    assert (ended.value.code, capsys.readouterr().err.strip()) == (1, "Aborted!")


def test_an_exit_code_is_passed_on_and_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(lambda: 1, "bench.some")
    assert ended.value.code == 1
    with pytest.raises(SystemExit) as ended:
        run(
            lambda: Parser(prog="some", description="What it does.").parse_args(["--help"]) and None,
            "bench.some",
        )
    assert ended.value.code == 0
    assert "What it does." in capsys.readouterr().out


def test_a_size_that_a_network_does_not_take() -> None:
    with pytest.raises(InputError, match="maskcnn takes no images of 32 pixels a side"):
        build_graph("maskcnn", 32)
