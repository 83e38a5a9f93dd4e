from __future__ import annotations

import errno
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from sparsenet import cli
from sparsenet.errors import GraphError, MissingExtraError

Invoke = Callable[..., Result]


class FakeEntryPoint:
    """An entry point whose loading does what the test says."""

    value = "somewhere:command"

    def __init__(self, name: str, load: Callable[[], object]) -> None:
        self.name = name
        self.load = load


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Call the command line with one more subcommand, ``extra``, that runs the given function."""

    def call(
        *arguments: str, body: Callable[[], object] | None = None, load: Callable[[], object] | None = None
    ) -> Result:
        command = click.Command("extra", callback=body, params=[], help="A command of another distribution.")
        point = FakeEntryPoint("extra", load or (lambda: command))
        real = importlib.metadata.entry_points

        def entry_points(*, group: str, name: str | None = None) -> list[object]:
            found: list[object] = list(real(group=group, name=name) if name else real(group=group))
            return found + [point] * (group == cli.ENTRY_POINTS and name in (None, "extra"))

        monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
        return CliRunner().invoke(cli.main, arguments)

    return call


def one_line(result: Result) -> str:
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


def raising(error: Exception) -> Callable[[], object]:
    def body() -> object:
        raise error

    return body


_HELP = """
import sys
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from sparsenet.cli import SECTIONS, main
for name in [None, *(name for section in SECTIONS.values() for name in section)]:
    assert CliRunner().invoke(main, [name, "--help"] if name else ["--help"]).exit_code == 0, name
    complete = ShellComplete(main, {}, "sparsenet", "_SPARSENET_COMPLETE").get_completions
    assert complete([name] if name else [], "--h" if name else "e"), name
print([name for name in sys.argv[1:] if name in sys.modules])
"""


def test_no_help_and_no_completion_imports_a_heavy_package() -> None:
    heavy = [
        "torch",
        "onnx",
        "scipy",
        "numba",
        "llvmlite",
        "matplotlib",
        "PIL",
        "tqdm",
        "jinja2",
        "snakemake",
    ]
    done = subprocess.run([sys.executable, "-c", _HELP, *heavy], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_completing_a_command_imports_none(invoke: Invoke) -> None:
    complete = ShellComplete(cli.main, {}, "sparsenet", "_SPARSENET_COMPLETE").get_completions
    assert [(item.value, item.help) for item in complete([], "expl")] == [
        ("explain", cli._SHORT_HELP["explain"])
    ]
    invoke("--help", load=raising(ImportError("no libfoo")))  # from now on there is such a command
    assert [item.value for item in complete([], "ext")] == ["extra"]


def test_the_listing_has_sections_and_commands_of_others(invoke: Invoke) -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    for title, commands in cli.SECTIONS.items():
        assert f"{title}:" in result.stdout
        for name, text in commands.items():
            assert f"  {name} " in result.stdout
            assert text in result.stdout
    assert "Other:\n  extra  A command of another distribution." in result.stdout


def test_a_broken_command_of_others_does_not_break_the_listing(invoke: Invoke) -> None:
    result = invoke("--help", load=raising(ImportError("no libfoo")))
    assert result.exit_code == 0
    assert "extra  (does not load: no libfoo)" in result.stdout


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").stdout == f"sparsenet {importlib.metadata.version('sparsenet')}\n"


def test_python_m_sparsenet_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sparsenet", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: No such command 'nonsense'; see `sparsenet --help`\n"


def test_packages_of_the_working_folder_hide_none_of_ours(tmp_path: Path) -> None:
    for name in ("training", "bench", "converters"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')")
    command = [sys.executable, "-m", "sparsenet"]
    for words in (["train", "--help"], ["bench", "--help"]):
        done = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_typed_error_is_one_line_and_exit_code_2(invoke: Invoke) -> None:
    result = invoke("extra", body=raising(GraphError("node 'conv' is\nwrong")))
    assert one_line(result) == "error: node 'conv' is wrong"


@pytest.mark.parametrize("how", ["option", "variable"])
def test_debug_shows_the_traceback_too(invoke: Invoke, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "variable":
        monkeypatch.setenv("SPARSENET_DEBUG", "1")
    result = invoke(*(["--debug"] if how == "option" else []), "extra", body=raising(GraphError("wrong")))
    assert result.exit_code == 2
    assert result.stderr.startswith("Traceback")
    assert result.stderr.endswith("error: wrong\n")


@pytest.mark.parametrize(
    "module, extra", [("torch", "train"), ("PIL.Image", "images"), ("onnx", "onnx"), ("scipy", "train")]
)
@pytest.mark.parametrize("when", ["loading", "running"])
def test_a_missing_module_names_its_extra(invoke: Invoke, module: str, extra: str, when: str) -> None:
    fail = raising(ModuleNotFoundError(f"No module named '{module}'", name=module))
    result = invoke("extra", load=fail) if when == "loading" else invoke("extra", body=fail)
    assert f" extra` needs the extra '{extra}': pip install '.[{extra}]'" in one_line(result)


@pytest.mark.parametrize(
    "package, extra", [("training", "train"), ("bench", "train"), ("converters", "images")]
)
def test_what_a_package_needs_anyway_is_named(package: str, extra: str) -> None:
    shown = cli.missing_extra(ModuleNotFoundError(name="PIL"), "it", package)
    assert isinstance(shown, MissingExtraError)
    assert shown.extra == extra


def test_a_missing_module_of_no_extra_is_a_bug_and_shows_its_traceback(invoke: Invoke) -> None:
    result = invoke(
        "extra", body=raising(ModuleNotFoundError("No module named 'sparsenet.gone'", name="sparsenet.gone"))
    )
    assert isinstance(result.exception, ModuleNotFoundError)


def test_an_unexpected_error_is_not_hidden(invoke: Invoke) -> None:
    result = invoke("extra", body=raising(ZeroDivisionError()))
    assert isinstance(result.exception, ZeroDivisionError)


def test_an_entry_point_that_is_no_command_is_named(invoke: Invoke) -> None:
    assert one_line(invoke("extra", load=lambda: 3)) == (
        "error: the entry point somewhere:command of 'extra' is not a click command"
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nonsense"], "error: No such command 'nonsense'; see `main --help`"),
        (["--nonsense"], "error: No such option '--nonsense'; see `main --help`"),
        (["explian"], "error: No such command 'explian': did you mean 'explain'? See `main --help`"),
        (
            ["run", "--radnom"],
            "error: No such option '--radnom': did you mean '--random'? See `main run --help`",
        ),
        (["run"], "error: Missing argument 'MODEL'; see `main run --help`"),
        (
            ["run", "m.safetensors", "--threads", "0"],
            "error: Invalid value for '--threads': 0 is not in the range 1<=x<=1024; see `main run --help`",
        ),
        (["run", "m.safetensors"], "error: give either --input or --random; see `main run --help`"),
    ],
)
def test_a_wrong_command_line_is_one_line(invoke: Invoke, arguments: list[str], message: str) -> None:
    assert one_line(invoke(*arguments)) == message


def test_no_arguments_show_the_help(invoke: Invoke) -> None:
    result = invoke()
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def sparsenet_process(*arguments: str, **streams: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sparsenet", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        **streams,
    )  # type: ignore[call-overload,no-any-return]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]], ids=" ".join)
def test_a_full_disk_under_standard_output_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = sparsenet_process(*arguments, stdout=full)
    assert (done.returncode, done.stderr) == (2, "error: the output: No space left on device\n")


def test_a_reader_that_has_had_enough_ends_the_command_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    done = sparsenet_process("--help", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    "error, message",
    [
        (OSError(errno.ENOSPC, "No space left on device", "/tmp/x"), "/tmp/x: No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied"), "the output: Permission denied"),
        (MemoryError(), "`main extra` does not get the memory that it needs from the system"),
    ],
)
def test_errors_of_the_system_are_one_line(invoke: Invoke, error: Exception, message: str) -> None:
    assert one_line(invoke("extra", body=raising(error))) == f"error: {message}"


def test_without_installation_there_are_no_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [])
    result = CliRunner().invoke(cli.main, ["info", "model.safetensors"])
    assert result.exit_code == 2
    assert "sparsenet is not installed" in result.output
