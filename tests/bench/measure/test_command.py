"""What is wrong with the command line of ``python -m bench.…`` is one line, said before any work."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner

from bench.measure.command import bench_command
from bench.subjects.networks import build_graph
from sparsenet.errors import InputError

BENCH = Path(__file__).resolve().parents[3] / "bench"
FILE, FOLDER, TEXT = "<file>", "<folder>", "<text>"
WRONG = {
    "against": ["--models nosuch", "--engines nosuch", "--seconds nan", "--sparsity", "--batch -1", "--threads 1000",
        f"--json {FOLDER}"],
    "break_even": ["--sparsity nan", "--threads 0", "--threads 1000", "--rounds -3", "--only nosuch",
        f"--json {FOLDER}"],
    "cuda": ["--batch x", f"--json {FOLDER}", "--models", "--models nosuch", "--sparsity 2", "--rounds 0", "nosuch"],
    "dense_shapes": ["--only nosuch", "--rounds nan", f"--json {FOLDER}"],
    "gate.trial": ["--runs -1", "--runs 0 --planted 0", "--runs 0 --record", f"--json {FOLDER}"],
    "history": ["", f"{FILE} -o {FOLDER}", f"nosuch -o {FOLDER}/x.svg", f"{TEXT} -o {TEXT}", f"{FILE} {TEXT} -o x.svg"],
    "kernels": ["--family nosuch", "--family conv nosuch", "--lanes 3", f"--json {FOLDER}",
        f"--markdown {FOLDER}/none/file"],
    "limits": ["--rounds 2", "nosuch", f"--json {FOLDER}"],
    "movement": ["nosuch", "transposed twice", "--rounds 0", f"--json {FOLDER}"],
    "noise": ["--model nosuch", "--threads 1025", f"--json {FOLDER}", "--tries nan"],
    "report": ["--model nosuch", "--engine nosuch", "--threads 1000", f"-o {FILE}/folder", "--seconds inf"],
    "speed_table": ["", "nosuch", FOLDER, FILE, TEXT],
    "speed_table.picture": ["", f"{FILE} -o x.svg", f"{TEXT} -o x.svg", f"{TEXT} -o {FOLDER}"],
    "start_up": ["--model nosuch", "--size 7", "--sparsity 2", "--rounds nan", f"--json {FOLDER}"],
    "threads": ["--model nosuch", "--threads 1", "--sparsity 1", "--load zz", f"--json {FOLDER}"],
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


@pytest.mark.parametrize("module", WRONG)
def test_help_has_an_example_and_needs_no_framework(module: str) -> None:
    program = (
        "import runpy, sys; sys.modules |= dict.fromkeys(sys.argv[2].split(',')); module = sys.argv[1]; "
    )
    program += "sys.argv[1:] = ['--help']; runpy.run_module(module, run_name='__main__', alter_sys=True)"
    command = [sys.executable, "-c", program, f"bench.{module}", "torch,onnx,onnxruntime,scipy,tqdm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"python -m bench.{module}" in done.stdout.partition("Examples:")[2]


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize(
    "module, words, absent, extra",
    [
        ("movement", "windows", "onnxruntime", "bench"),
        ("movement", "windows", "onnx", "onnx"),
        ("noise", "--tries 1", "onnx", "onnx"),
        ("against", "--models maskcnn", "torch", "train"),
        ("threads", "--load nothing", "torch", "train"),
        ("report", "-o {folder}", "matplotlib", "train"),
        ("history", "old.json -o {folder}/history.svg", "matplotlib", "plot"),
    ],
)
def test_what_is_not_installed_is_one_line(
    module: str, words: str, absent: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in [name for name in sys.modules if name.partition(".")[0] in ("bench", "training", absent)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    monkeypatch.setattr(sys, "argv", ["-", *words.format(folder=tmp_path).split()])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"bench.{module}", run_name="__main__")
    assert ended.value.code == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")
    assert f"pip install '.[{extra}]'" in said


def interrupted() -> NoReturn:
    raise KeyboardInterrupt


def test_ctrl_c_is_one_word() -> None:
    done = CliRunner().invoke(bench_command("some")(interrupted), [])
    assert (done.exit_code, done.stderr.strip()) == (1, "Aborted!")


def test_time_is_taken_in_one_place() -> None:
    own = {
        path.relative_to(BENCH).as_posix()
        for path in BENCH.rglob("*.py")
        if re.search(r"perf_counter|process_time|thread_time|monotonic|clock_gettime", path.read_text())
    }
    assert own == {"start_up/programs.py"}


def test_a_size_that_a_network_does_not_take() -> None:
    with pytest.raises(InputError, match="maskcnn takes no images of 32 pixels a side"):
        build_graph("maskcnn", 32)
