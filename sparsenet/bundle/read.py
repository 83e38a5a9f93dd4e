"""Reading a bundle, and checking that it is whole, for this machine and what was asked for."""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsenet.bundle.format import (
    CODE,
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    PLAN,
    TAPES,
    WEIGHTS,
    Bundle,
)
from sparsenet.bundle.parse import parse
from sparsenet.checks import path_of
from sparsenet.errors import BundleError, MemoryLimitError
from sparsenet.io.files import read_open
from sparsenet.io.trusted import UntrustedError, open_trusted
from sparsenet.targets.cpu.runtime.host import host_features, platform_name
from sparsenet.text.quantities import threads_text


def load(path: str | os.PathLike[str], threads: int | None = None, *, sparse: bool = True) -> Bundle:
    """Read and check the bundle in the folder ``path``; only ``Bundle.load_code`` makes code of it executable.

    Raises:
        BundleError: damaged, or where others may have put it; for another CPU, platform, version or number of threads;
            dense kernels asked for and sparse ones in it.
    """
    folder = path_of(path)
    try:
        manifest = _read_manifest(folder)
        _check_machine(manifest)
        data = {name: _read_file(folder, name, manifest) for name in (PLAN, TAPES, WEIGHTS, CODE)}
        bundle = parse(json.loads(bytes(data[PLAN])), data)
        compiled = bundle.plan.threads
        if threads not in (None, compiled):
            raise BundleError(
                f"was compiled for {threads_text(compiled)}, not {threads}: leave `threads` out, or "
                f"run `sparsenet compile --threads {threads}`"
            )
        if bundle.sparse and not sparse:
            raise BundleError(
                "was compiled with sparse kernels: run `sparsenet compile --dense` for a dense one"
            )
    except BundleError as error:
        raise BundleError(f"{folder}: {error}") from None
    except UntrustedError as error:
        raise BundleError(f"{folder}: is a program that others may have changed: {error}") from None
    except OSError as error:
        raise BundleError(f"{folder}: cannot be read: {error.strerror or error}") from None
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        reason = f"{type(error).__name__}: {error}"[:120]
        raise BundleError(f"{folder}: is damaged: its description makes no sense ({reason})") from None
    return bundle


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        with open_trusted(folder, MANIFEST) as file:
            data = read_open(file, MAX_MANIFEST_BYTES)
    except MemoryLimitError as error:
        raise BundleError(f"has a {MANIFEST} that is not a bundle's: {error}") from None
    except FileNotFoundError:
        raise BundleError(f"holds no {MANIFEST}: not a bundle; make one with `sparsenet compile`") from None
    try:
        manifest = json.loads(data)
        known = manifest["format"] == FORMAT
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BundleError(f"has a {MANIFEST} that is damaged or not a bundle's") from None
    if not known:
        raise BundleError(f"has a {MANIFEST} that is not a bundle's")
    if manifest.get("format_version") != FORMAT_VERSION:
        version = str(manifest.get("format_version"))[:20]
        raise BundleError(
            f"has format version {version}, this sparsenet reads {FORMAT_VERSION}: run `sparsenet compile` again"
        )
    return dict(manifest)


def _check_machine(manifest: Mapping[str, Any]) -> None:
    platform = str(manifest["platform"])
    if platform != platform_name():
        raise BundleError(
            f"was compiled for {platform[:40]}, this is {platform_name()}: run `sparsenet compile` here"
        )
    missing = sorted(set(map(str, manifest["features"])) - host_features())
    if missing:
        raise BundleError(
            f"was compiled for {str(manifest['cpu'])[:60]} with features that this CPU lacks: "
            f"{', '.join(missing)[:120]}; run `sparsenet compile` here"
        )


def _read_file(folder: Path, name: str, manifest: Mapping[str, Any]) -> memoryview:
    """The mapped bytes of a file, its size and hash checked."""
    size, digest = manifest["files"][name]["bytes"], manifest["files"][name]["sha256"]
    try:
        with open_trusted(folder, name) as file:
            found = os.fstat(file.fileno()).st_size
            if found != size:
                raise BundleError(f"is damaged: {name} has {found} bytes, not {str(size)[:20]}")
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")
    except FileNotFoundError:
        raise BundleError(f"is damaged: {name} is missing") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise BundleError(f"is damaged or was changed: the SHA-256 of {name} does not match")
    return data
