"""The machine and the software that measured times depend on."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

import torch

import sparsenet
from sparsenet.targets.cpu.runtime.threads import available_cpus

PACKAGES = ("torch", "numpy", "numba", "safetensors")


def environment() -> dict[str, str]:
    """Name → value, as the report shows it."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    found = {
        "processor": f"{processor()}, {available_cpus()} CPUs for this process",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": f"sparsenet {sparsenet.__version__}, {versions}",
    }
    if torch.cuda.is_available():
        found["GPU, for training"] = torch.cuda.get_device_name()
    return found


def processor() -> str:
    """The processor's name, as well as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
