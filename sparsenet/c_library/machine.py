"""The machines that C libraries are made for: how LLVM names them, and what their processors can do."""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.checks import one_of
from sparsenet.errors import InputError
from sparsenet.targets.target import TARGETS, Target, best


@dataclass(frozen=True)
class Machine:
    """A 64-bit Linux machine.

    Attributes:
        name: for people and the command line.
        triple: as LLVM names it.
        tools: what the names of GNU tools for it begin with, as in ``aarch64-linux-gnu-ld``.
        cpu: the processor that code is arranged for, as LLVM names it; the least one if it is a whole level.
        features: what every processor that may run the code has, in LLVM's spelling.
    """

    name: str
    triple: str
    tools: str
    cpu: str
    features: frozenset[str]

    @property
    def target(self) -> Target:
        """What a plan is made for."""
        return best(self.features, max(target.vector().lanes for target in TARGETS.values()))


_V1 = frozenset({"sse", "sse2"})
_V2 = _V1 | {"sse3", "ssse3", "sse4.1", "sse4.2", "popcnt"}
_V3 = _V2 | {"avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"}
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
_ARM = ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu")
_X86 = ("x86_64-unknown-linux-gnu", "x86_64-linux-gnu")
_NEON = frozenset({"neon"})

#: What may be asked for, by name: 64-bit Arm, and the levels of x86-64 that its psABI defines.
MACHINES = {
    machine.name: machine
    for machine in (
        Machine("aarch64-linux", *_ARM, "generic", _NEON),
        Machine("x86-64-v2", *_X86, "x86-64-v2", _V2),
        Machine("x86-64-v3", *_X86, "x86-64-v3", _V3),
        Machine("x86-64-v4", *_X86, "x86-64-v4", _V4),
    )
}

_DOT = frozenset({"dotprod"})
_MIXED = _DOT | {"i8mm"}
_VNNI = frozenset({"avx512vnni"})
_BYTES = _VNNI | {"avx512vbmi"}
#: Processors, as LLVM names them → the machine, and what they can do beyond it that kernels use.
CPUS: dict[str, tuple[str, frozenset[str]]] = {
    **dict.fromkeys(("cortex-a53", "cortex-a57", "cortex-a72", "cortex-a73"), ("aarch64-linux", frozenset())),
    **dict.fromkeys(("cortex-a55", "cortex-a75", "cortex-a76", "cortex-a78"), ("aarch64-linux", _DOT)),
    **dict.fromkeys(("cortex-a78ae", "cortex-x1", "neoverse-n1"), ("aarch64-linux", _DOT)),
    **dict.fromkeys(("cortex-a510", "cortex-a710", "cortex-a715", "cortex-x2"), ("aarch64-linux", _MIXED)),
    **dict.fromkeys(("neoverse-v1", "neoverse-n2", "neoverse-v2"), ("aarch64-linux", _MIXED)),
    **dict.fromkeys(("haswell", "skylake", "znver2", "znver3"), ("x86-64-v3", frozenset())),
    **dict.fromkeys(("alderlake", "gracemont"), ("x86-64-v3", frozenset({"avxvnni"}))),
    "skylake-avx512": ("x86-64-v4", frozenset()),
    "cascadelake": ("x86-64-v4", _VNNI),
    **dict.fromkeys(("icelake-server", "sapphirerapids", "znver4", "znver5"), ("x86-64-v4", _BYTES)),
}


def machine_of(name: str | None, cpu: str | None) -> Machine:
    """The machine of this name, or more exactly the processor.

    Raises:
        InputError: neither is given, one is unknown, or the processor is of another machine.
    """
    if cpu is None:
        if name is None:
            raise InputError(f"a C library is made for a target: one of {', '.join(MACHINES)}")
        one_of(name, "target", tuple(MACHINES))
        return MACHINES[name]
    one_of(cpu, "cpu", tuple(CPUS))
    own, more = CPUS[cpu]
    if name not in (None, own):
        raise InputError(f"the processor {cpu} is {own}, not {name}")
    machine = MACHINES[own]
    return Machine(f"{own} ({cpu})", machine.triple, machine.tools, cpu, machine.features | more)
