"""What ran a measurement: processor, its features, Python, packages, the commit."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sparsenet.targets.cpu.runtime.host import host_name
from sparsenet.targets.cpu.runtime.jit import cpu_features
from sparsenet.targets.host import host

PACKAGES = (
    "sparsenet",
    "numpy",
    "numba",
    "llvmlite",
    "onnxruntime",
    "torch",
    "scipy",
    "openvino",
    "nncf",
    "deepsparse",
)


def versions() -> dict[str, str]:
    """Name → version of everything a time depends on."""
    found = {
        "cpu": host_name(),
        "cpu_features": " ".join(sorted(f for f in cpu_features() if f.startswith(("avx", "fma", "neon")))),
        "lanes": str(host().vector().lanes),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "commit": commit(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit checked out, with ``+`` behind it if files differ from it; "unknown" without git."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    words = ["describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(  # noqa: S603 - git itself
        [git, *words], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
