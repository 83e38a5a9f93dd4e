"""Writing a bundle."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import sparsenet
from sparsenet.bundle.format import (
    CODE,
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    PLAN,
    TAPES,
    WEIGHTS,
)
from sparsenet.errors import BundleError, InputError, MemoryLimitError
from sparsenet.io.files import read_whole, require_output_folder, written_name
from sparsenet.io.trusted import OTHERS_WRITE
from sparsenet.plan.plan import Plan
from sparsenet.targets.cpu.runtime import jit, tape
from sparsenet.targets.cpu.runtime.host import host_features, host_name, platform_name


def save(plan: Plan, path: str | os.PathLike[str], *, sparse: bool, metadata: Mapping[str, str]) -> None:
    """Write a bundle to the folder ``path``: to a temporary one beside it first, which then takes its name.

    Raises:
        BundleError: something that is not a bundle is there, or the folder cannot be written.
    """
    require_place(path)
    target = written_name(path)
    code = {kernel.name: jit.payload(kernel.code_name, kernel.build) for kernel in plan.used_kernels}
    code |= {name: jit.payload(name, build) for name, build in tape.FUNCTIONS.items()}
    files: dict[str, bytes | memoryview] = {
        PLAN: json.dumps(_describe(plan, code, sparse, metadata), separators=(",", ":")).encode(),
        TAPES: b"".join(table.tobytes() for table in _numbered(plan)),
        WEIGHTS: plan.weights.data,
        CODE: b"".join(code.values()),
    }
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "sparsenet": sparsenet.__version__,
        "platform": platform_name(),
        "cpu": host_name(),
        "features": sorted(_features()),
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        },
    }
    files[MANIFEST] = json.dumps(manifest, indent=1).encode()
    try:
        _write_folder(target, files)
    except OSError as error:
        raise BundleError(f"{target}: cannot be written: {error.strerror or error}") from None


def require_place(path: str | os.PathLike[str]) -> None:
    """Check, before work begins, that a bundle can be written to the folder ``path``.

    Raises:
        BundleError: it cannot, or something that is not a bundle is there.
    """
    target = written_name(path)
    if os.path.lexists(target) and not _is_bundle(target):
        raise BundleError(
            f"{target}: exists and is not a bundle, or holds other files; choose another folder"
        )
    try:
        require_output_folder(target.parent)
    except InputError as error:
        raise BundleError(f"{target}: cannot be written: {error}") from None


def _features() -> frozenset[str]:
    """The CPU features that the code may need; where Numba is limited to fewer, those of the CPU it compiles for."""
    return jit.cpu_features() & host_features() if "NUMBA_CPU_NAME" in os.environ else host_features()


def _is_bundle(folder: Path) -> bool:
    try:
        if {file.name for file in folder.iterdir()} - {MANIFEST, PLAN, TAPES, WEIGHTS, CODE}:
            return False
        return bool(json.loads(read_whole(folder / MANIFEST, MAX_MANIFEST_BYTES))["format"] == FORMAT)
    except (OSError, ValueError, KeyError, TypeError, MemoryLimitError):
        return False


def _numbered(plan: Plan) -> list[npt.NDArray[np.int64]]:
    """The tapes with the numbers of kernels in place of the addresses that linked tapes have."""
    number = {kernel: i for i, kernel in enumerate(plan.used_kernels)}
    tables = [table.copy() for table in plan.tapes]
    for table, kernels in zip(tables, plan.kernels, strict=True):
        table[:, 0] = [number[kernel] for kernel in kernels]
    return tables


def _describe(
    plan: Plan, code: Mapping[str, bytes], sparse: bool, metadata: Mapping[str, str]
) -> dict[str, Any]:
    layers = list(dict.fromkeys(layer for names in plan.layers for layer in names))
    number = {layer: i for i, layer in enumerate(layers)}
    return {
        "inputs": [dataclasses.asdict(info) for info in plan.inputs],
        "outputs": [dataclasses.asdict(info) for info in plan.outputs],
        "counts": plan.counts,
        "arena_bytes": plan.arena_bytes,
        "rings": [dataclasses.asdict(ring) for ring in plan.rings],
        "kernels": [
            dataclasses.asdict(kernel) | {"pointers": pointers} for kernel, pointers in plan.pointers.items()
        ],
        "code": [[name, len(data)] for name, data in code.items()],
        "layers": layers,
        "step_layers": [[number[layer] for layer in names] for names in plan.layers],
        "ends": plan.ends,
        "decisions": [dataclasses.asdict(decision) for decision in plan.decisions],
        "segments": [dataclasses.asdict(segment) for segment in plan.segments],
        "sparse": sparse,
        "metadata": dict(metadata),
    }


def _write_folder(target: Path, files: Mapping[str, bytes | memoryview]) -> None:
    import shutil  # who only reads bundles should not wait for it

    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name[:64]}.{os.urandom(8).hex()}"
    old = temporary / "old"
    try:
        temporary.mkdir(0o700)
        new = temporary / "new"
        new.mkdir()
        new.chmod(new.stat().st_mode & ~OTHERS_WRITE)  # or it would not be read
        for name, data in files.items():
            with (new / name).open("wb") as file:
                with contextlib.suppress(AttributeError):  # Windows has no such modes
                    os.fchmod(file.fileno(), os.fstat(file.fileno()).st_mode & ~OTHERS_WRITE)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        if target.exists():
            target.rename(old)
        try:
            new.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
