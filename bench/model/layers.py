"""The layers of a network in our engine, with sparse and with dense kernels side by side."""

from __future__ import annotations

from dataclasses import dataclass

from bench.measure.contest import Contest
from sparsenet.timing.layer_profile import Profile


@dataclass(frozen=True)
class Layer:
    """One layer in our engine, with sparse and with dense kernels; ms, Gop/s on nonzeros.

    ``rounds`` and ``dropped``: runs that count, and disturbed ones, of whichever had fewer that count; ``too_noisy``
    if too few are left, and then there is no speed-up.
    """

    sparsity: float | None
    threads: int
    layer: str
    op: str
    nnz: int
    density: float
    dense_ms: float | None
    sparse_ms: float | None
    speedup: float | None
    gops: float | None
    kernel: str
    rounds: int
    dropped: int
    too_noisy: bool


def layers_of(field: Contest, sparsity: float | None, runs: int = 10) -> list[Layer]:
    """Time of each layer in our engine, sparse and dense beside each other where both ran."""
    profiles: dict[str, Profile] = {}
    threads = 1
    for name in ("ours", "dense"):
        engine = field.sessions[name].engine if name in field.sessions else None
        if engine is not None:
            threads = engine.threads
            profiles[name] = engine.profile(field.x, runs=runs)
    names = dict.fromkeys(layer.layer for profile in profiles.values() for layer in profile)
    return [_layer(layer, profiles, sparsity, threads) for layer in names]


def _layer(name: str, profiles: dict[str, Profile], sparsity: float | None, threads: int) -> Layer:
    found = {
        engine: layer for engine, profile in profiles.items() for layer in profile if layer.layer == name
    }
    sparse, dense = found.get("ours"), found.get("dense")
    shown = sparse or dense
    assert shown is not None
    worst = min(profiles.values(), key=lambda profile: profile.counted)
    too_noisy = any(profile.too_noisy for profile in profiles.values())
    return Layer(
        sparsity, threads, name, shown.op, shown.nnz, shown.density,
        dense.ms if dense else None, sparse.ms if sparse else None,
        dense.ms / sparse.ms if dense and sparse and sparse.ms > 0 and not too_noisy else None,
        shown.gops or None, shown.kernel, worst.counted, worst.dropped, too_noisy,
    )  # fmt: skip
