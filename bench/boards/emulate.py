"""Build an exported network for a board, run it there, count its instructions."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.boards.board import FILES, Board

#: Seconds that a program may take on an emulated board.
LIMIT = 300


class BuildError(RuntimeError):
    """A tool failed; the message is what it said."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of an object file: code, and constants."""

    code: int
    constants: int


def tool(*command: str | Path, folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run a program in ``folder``; returns what it prints.

    Raises:
        BuildError: it failed.
    """
    done = subprocess.run(  # noqa: S603 - the bench's own tools
        list(map(str, command)), cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    if done.returncode:
        raise BuildError(
            f"{command[0]} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-1500:]}"
        )
    return done.stdout


def compile_network(board: Board, folder: Path, name: str, level: str) -> Sizes:
    """Compile the network in ``folder``; returns the sizes of ``NAME.c``, kernels, tables and schedule."""
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror", level, *board.flags]
    for part in (name, f"{name}_weights"):
        tool(board.compiler, *flags, "-c", f"{part}.c", "-o", f"{part}.o", folder=folder)
    return sizes(board, folder, f"{name}.o")


def sizes(board: Board, folder: Path, file: str) -> Sizes:
    """Code and constants of an object file or a program."""
    text = tool(board.compiler.removesuffix("gcc") + "size", "-A", file, folder=folder)
    found = re.findall(r"^\.(text|rodata)\S*\s+(\d+)", text, re.MULTILINE)
    return Sizes(
        *(sum(int(size) for section, size in found if section == kind) for kind in ("text", "rodata"))
    )


def link(
    board: Board, folder: Path, name: str, program: str | Path, output: str, defines: Sequence[str] = ()
) -> Path:
    """Link the compiled network with a program in C, and start-up code where there is no operating system."""
    sources = [program, *(FILES / part for part in board.start)]
    objects = [f"{name}.o", f"{name}_weights.o"]
    tool(
        board.compiler, "-std=gnu99", "-O1", *board.flags, *defines, "-I", folder, *sources, *objects, *board.link,
        f"-Wl,-Map={output}.map", "-lm", "-o", output, folder=folder,
    )  # fmt: skip
    return folder / output


def link_runs(board: Board, folder: Path, name: str, runs: int) -> Path:
    """Link the compiled network with a program that runs it so many times and does next to nothing else."""
    return link(board, folder, name, FILES / "runs.c", f"runs{runs}", [*network(name), f"-DRUNS={runs}"])


def network(name: str) -> list[str]:
    """What programs of ``FILES`` are told of the network that they run."""
    return [f"-DNAME={name}", f"-DNAME_UPPER={name.upper()}", f'-DHEADER="{name}.h"']


def run(board: Board, program: Path) -> str:
    """Run a program on the board; returns what it prints. BuildError unless it returns 0."""
    return tool(*board.emulator, program, folder=program.parent)


def instructions(board: Board, folder: Path, name: str, plugin: Path) -> int:
    """Instructions of one inference: those of a program that makes two, less those of one that makes one."""
    counts = []
    for runs in (1, 2):
        program = link_runs(board, folder, name, runs)
        tool(
            *_with_plugin(board, plugin), program, folder=folder, environment={"INSTRUCTIONS": f"count{runs}"}
        )
        counts.append(int((folder / f"count{runs}").read_text()))
    return counts[1] - counts[0]


def build_plugin(folder: Path) -> Path:
    """Compile the plug-in that counts, with this machine's own compiler."""
    tool("cc", "-O1", "-shared", "-fPIC", FILES / "count.c", "-o", "count.so", folder=folder)
    return folder / "count.so"


def _with_plugin(board: Board, plugin: Path) -> list[str]:
    emulator, *options = board.emulator
    return [emulator, "-plugin", str(plugin), *options]
