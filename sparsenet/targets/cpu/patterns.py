"""How a group of matrix rows is multiplied together: one order of steps, for packer and kernel alike.

The *pattern* of a column is the mask of those rows of the group that have a nonzero in it. A *step* multiplies one
column per block of a partition of the rows, so that it brings every row forward by one nonzero.
"""

from __future__ import annotations


def rows_of(pattern: int) -> list[int]:
    """Rows in a pattern: the numbers of its set bits, ascending."""
    return [row for row in range(pattern.bit_length()) if pattern >> row & 1]


def step_kinds(rows: int) -> list[tuple[int, ...]]:
    """The partitions that have steps of their own, as tuples of patterns.

    All rows in one block, then every pattern beside its complement, and last each row by itself, which takes what
    found no partner: 2**(rows - 1) + 1 kinds for three rows or more.
    """
    everything = (1 << rows) - 1
    pairs = [(pattern, everything ^ pattern) for pattern in range(1 << (rows - 1), everything)]
    pairs.sort(key=lambda pair: (-pair[0].bit_count(), pair))
    kinds = [(everything,), *pairs, tuple(1 << row for row in range(rows))]
    return list(dict.fromkeys(tuple(sorted(kind)) for kind in kinds))


def bucket_kinds(rows: int) -> list[tuple[int, ...]]:
    """Every pattern by itself: steps of one column, which bring only its rows forward."""
    return [(pattern,) for pattern in range(1, 1 << rows)]


def step_words(kind: tuple[int, ...]) -> int:
    """int32 words of a step: per block a byte offset, and one weight per row."""
    return len(kind) + sum(pattern.bit_count() for pattern in kind)
