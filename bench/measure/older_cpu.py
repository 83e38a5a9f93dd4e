"""This machine as one of an older kind: what keeps engines from its newer instructions."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from sparsenet.errors import InputError
from sparsenet.targets.cpu.runtime.host import host_features

#: The newest x86 that has no AVX-512, in LLVM's spelling.
AVX2_CPU = "haswell"
#: What keeps engines that are not ours from AVX-512 and VNNI: those built on oneDNN, PyTorch, DeepSparse.
_AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "NM_ARCH": "avx2"}
#: Engines that take whatever the CPU has.
_UNLIMITED = ("ort", "ort-int8")


def environment(lanes: int) -> dict[str, str]:
    """Variables that make a process compile for vectors of ``lanes`` float32, as a CPU with no longer ones would."""
    changed = {"SPARSENET_LANES": str(lanes), "OMP_NUM_THREADS": "1"}
    if lanes < 16 and "avx512f" in host_features():
        features = sorted(name for name in host_features() if not name.startswith("avx512"))
        changed["NUMBA_CPU_FEATURES"] = ",".join(f"+{name}" for name in features)
        changed["NUMBA_CPU_NAME"] = AVX2_CPU
    return changed


def begin_again_with_avx2(engines: Iterable[str]) -> None:
    """Start this program anew as on a CPU without AVX-512 and VNNI, unless it runs as on one already.

    Raises:
        InputError: one of the ``engines`` cannot be kept from newer instructions.
    """
    unlimited = [name for name in engines if name in _UNLIMITED]
    if unlimited:
        raise InputError(f"nothing keeps {' and '.join(unlimited)} from AVX-512: choose other --engines")
    if os.environ.get("ONEDNN_MAX_CPU_ISA") != _AVX2["ONEDNN_MAX_CPU_ISA"]:
        variables = {**os.environ, **environment(8), **_AVX2}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], variables)  # noqa: S606 - the same program
