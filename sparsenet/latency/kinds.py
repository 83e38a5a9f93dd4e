"""What the name of a kernel family tells of its kernels."""

from __future__ import annotations


def is_sparse(family: str) -> bool:
    """Whether a family takes sparse weights."""
    return "_csr_" in family or "_pattern_" in family


def in_bytes(family: str) -> bool:
    """Whether a family computes in 8 bits."""
    return family.startswith("u8") or "linear8" in family


def itemsize(family: str) -> int:
    """Bytes of a number that kernels of ``family`` read."""
    return 1 if in_bytes(family) else 4
