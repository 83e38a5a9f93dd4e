"""What this CPU is and can do, read from Linux: a start that compiles nothing should not wait for LLVM to say so."""

from __future__ import annotations

import platform
import sys
from functools import cache
from pathlib import Path
from typing import Any

from sparsenet.errors import MissingCompilerError

#: Features that code over floats and integers may use, in LLVM's spelling → in Linux's.
_X86_FEATURES = {
    **{name: name for name in ("sse", "sse2", "ssse3", "popcnt", "movbe", "avx", "f16c", "fma", "avx2")},
    **{name: name for name in ("bmi2", "adx", "gfni", "avx512f", "avx512cd", "avx512dq", "avx512bw")},
    **{name: name for name in ("avx512vl", "avx512ifma", "avx512vbmi")},
    **{"avx512" + name: "avx512_" + name for name in ("vbmi2", "vnni", "bitalg", "vpopcntdq", "bf16", "fp16")},
    "sse3": "pni", "sse4.1": "sse4_1", "sse4.2": "sse4_2", "lzcnt": "abm", "bmi": "bmi1", "avxvnni": "avx_vnni",
}  # fmt: skip


@cache
def host_features() -> frozenset[str]:
    """Names, in LLVM's spelling, of this CPU's features that matter to kernels.

    Raises:
        MissingCompilerError: this is no x86 CPU, and LLVM, which knows others, is not installed.
    """
    block = _first_processor()
    if block is None:
        found = {name for name, present in _llvm().get_host_cpu_features().items() if present}
        # Emulators tell LLVM nothing; this much every processor of the kind has.
        return frozenset(found | ({"neon"} if platform.machine() in ("aarch64", "arm64") else set()))
    flags = set(block.get("flags", "").split())
    return frozenset(name for name, flag in _X86_FEATURES.items() if flag in flags)


def host_name() -> str:
    """What the CPU calls itself, for people."""
    return (_first_processor() or {}).get("model name") or platform.processor() or platform.machine()


def platform_name() -> str:
    """The system and instruction set that machine code is made for: ``linux-x86_64``."""
    return f"{sys.platform}-{platform.machine()}"


@cache
def host_identity() -> str:
    """A text that differs wherever a compiler might choose other instructions."""
    block = _first_processor()
    if block is None:
        return f"{_llvm().get_host_cpu_name()} {sorted(host_features())}"
    return " ".join(block.get(key, "") for key in ("vendor_id", "cpu family", "model", "stepping", "flags"))


def _llvm() -> Any:
    try:
        import llvmlite.binding as llvm
    except ImportError as error:
        raise MissingCompilerError(
            f"machine code for {platform.machine()} is loaded by LLVM: {error}; install llvmlite"
        ) from error
    return llvm


@cache
def _first_processor() -> dict[str, str] | None:
    """What /proc/cpuinfo says of the first x86 processor; None where there is no such thing."""
    if platform.machine() != "x86_64":
        return None
    try:
        with Path("/proc/cpuinfo").open() as file:
            lines = iter(file.readline, "\n")  # an empty line ends the first processor
            pairs = [line.partition(":") for line in lines if line]
    except OSError:
        return None
    return {key.strip(): value.strip() for key, _, value in pairs}
