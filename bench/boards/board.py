"""Boards, and other processors that Linux runs on: what compiles for them, and what emulates them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

#: Start-up code, linker scripts, programs and the plug-in that counts.
FILES = Path(__file__).resolve().parent / "files"


@dataclass(frozen=True)
class Board:
    """A processor that programs are built for and emulated on.

    Attributes:
        name: of the core.
        compiler: the cross compiler.
        flags: which processor it compiles for.
        emulator: QEMU and what it needs to be told, before the program.
        link: how a program is linked; those without an operating system bring start-up code.
        start: files of ``FILES`` that a program is linked with.
    """

    name: str
    compiler: str
    flags: tuple[str, ...]
    emulator: tuple[str, ...]
    link: tuple[str, ...] = ("-static",)
    start: tuple[str, ...] = ()

    @property
    def missing(self) -> str | None:
        """What is not installed here, for people; None if all is there."""
        tools = [tool for tool in (self.compiler, self.emulator[0]) if shutil.which(tool) is None]
        return f"{self.name} needs {' and '.join(tools)}" if tools else None

    @property
    def bare(self) -> bool:
        """Whether there is no operating system."""
        return bool(self.start)


_SEMIHOSTING = ("-nographic", "-semihosting-config", "enable=on,target=native")


def _cortex_m(name: str, flags: str, machine: str, script: str) -> Board:
    return Board(
        name,
        "arm-none-eabi-gcc",
        ("-mthumb", *flags.split()),
        ("qemu-system-arm", "-M", machine, *_SEMIHOSTING, "-kernel"),
        ("--specs=rdimon.specs", "-nostartfiles", "-T", str(FILES / script)),
        ("start.c",),
    )


BOARDS = {
    board.name: board
    for board in (
        _cortex_m("cortex-m4", "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16", "mps2-an386", "mps2.ld"),
        _cortex_m("cortex-m7", "-mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16", "mps2-an500", "mps2.ld"),
        _cortex_m("cortex-m55", "-mcpu=cortex-m55 -mfloat-abi=hard", "mps3-an547", "mps3.ld"),
        Board("aarch64", "aarch64-linux-gnu-gcc", (), ("qemu-aarch64",)),
        Board("armv7", "arm-linux-gnueabihf-gcc", ("-mfpu=neon-vfpv4",), ("qemu-arm",)),
        Board("riscv64", "riscv64-linux-gnu-gcc", (), ("qemu-riscv64",)),
        Board("s390x", "s390x-linux-gnu-gcc", (), ("qemu-s390x",)),
    )
}
