"""Boards, and other processors that Linux runs on: what compiles for them, and what emulates them."""

from __future__ import annotations

import shutil
import subprocess
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
        target: what ``export_c`` chooses kernels for.
        link: how a program is linked; those without an operating system bring start-up code.
        start: files of ``FILES`` that a program is linked with.
        library: a file of the C library, where that is not the compiler's own.
    """

    name: str
    compiler: str
    flags: tuple[str, ...]
    emulator: tuple[str, ...]
    target: str = "generic"
    link: tuple[str, ...] = ("-static",)
    start: tuple[str, ...] = ()
    library: str | None = None

    @property
    def missing(self) -> str | None:
        """What is not installed here, for people; None if all is there."""
        tools = [tool for tool in (self.compiler, self.emulator[0]) if shutil.which(tool) is None]
        if self.library is not None and self.compiler not in tools and not self._finds(self.library):
            tools.append(self.library)
        return f"{self.name} needs {' and '.join(tools)}" if tools else None

    def _finds(self, file: str) -> bool:
        command = [self.compiler, *self.flags, f"-print-file-name={file}"]
        found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        return Path(found.stdout.strip()).is_absolute()


#: Programs use files, and the terminal, of the machine that emulates.
_SEMIHOSTING = (
    *("-display", "none", "-serial", "none", "-monitor", "none", "-chardev", "stdio,id=terminal"),
    *("-semihosting-config", "enable=on,target=native,chardev=terminal"),
)


def _cortex_m(
    name: str, flags: str, machine: str, target: str, code: str = "0,4M", data: str = "0x20000000,4M"
) -> Board:
    """A Cortex-M with its ``code`` and all else in memories that begin and are as large as these say."""
    places = zip(
        ("code_start", "code_bytes", "data_start", "data_bytes"), f"{code},{data}".split(","), strict=True
    )
    return Board(
        name,
        "arm-none-eabi-gcc",
        ("-mthumb", *flags.split()),
        ("qemu-system-arm", "-M", machine, *_SEMIHOSTING, "-kernel"),
        target,
        (
            *("--specs=rdimon.specs", "-nostartfiles", "-T", str(FILES / "cortex_m.ld")),
            *(f"-Wl,--defsym={symbol}={value}" for symbol, value in places),
        ),
        ("start.c",),
        "rdimon.specs",
    )


#: 32 bits with a single-precision floating-point unit; flash and RAM are parts of the machine's one memory.
_RV32 = Board(
    "rv32",
    "riscv64-unknown-elf-gcc",
    ("-march=rv32imafc", "-mabi=ilp32f", "-mcmodel=medany", "--specs=picolibc.specs"),
    ("qemu-system-riscv32", "-M", "virt", "-bios", "none", *_SEMIHOSTING, "-kernel"),
    link=(
        "--crt0=semihost",
        "--oslib=semihost",
        "-Wl,--defsym=__flash=0x80000000,--defsym=__flash_size=4M",
        "-Wl,--defsym=__ram=0x80400000,--defsym=__ram_size=8M",
    ),
    library="picolibc.specs",
)


BOARDS = {
    board.name: board
    for board in (
        _cortex_m("cortex-m3", "-mcpu=cortex-m3", "mps2-an385", "generic"),
        _cortex_m(
            "cortex-m4", "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16", "mps2-an386", "cortex-m"
        ),
        _cortex_m("cortex-m7", "-mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16", "mps2-an500", "cortex-m"),
        _cortex_m(
            *("cortex-m33", "-mcpu=cortex-m33 -mfloat-abi=hard -mfpu=fpv5-sp-d16", "mps2-an505", "cortex-m"),
            *("0x10000000,4M", "0x38000000,4M"),
        ),
        _cortex_m(
            *("cortex-m55", "-mcpu=cortex-m55 -mfloat-abi=hard", "mps3-an547", "mve"),
            *("0,512K", "0x01000000,2M"),
        ),
        _RV32,
        Board("aarch64", "aarch64-linux-gnu-gcc", (), ("qemu-aarch64",), "neon"),
        Board("armv7", "arm-linux-gnueabihf-gcc", ("-mfpu=neon-vfpv4",), ("qemu-arm",), "neon"),
        Board("riscv64", "riscv64-linux-gnu-gcc", (), ("qemu-riscv64",)),
        Board("s390x", "s390x-linux-gnu-gcc", (), ("qemu-s390x",)),
    )
}
