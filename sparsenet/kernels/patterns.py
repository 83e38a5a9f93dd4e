"""Patterns of a group of rows: which of them have a nonzero in a column. One order, for packer and kernel alike."""

from __future__ import annotations


def patterns(rows: int) -> list[int]:
    """The nonzero masks of ``rows`` bits in the order of their buckets: by number of rows, then by value."""
    return sorted(range(1, 1 << rows), key=lambda mask: (mask.bit_count(), mask))


def rows_of(pattern: int) -> list[int]:
    """Rows in a pattern: the numbers of its set bits, ascending."""
    return [row for row in range(pattern.bit_length()) if pattern >> row & 1]
