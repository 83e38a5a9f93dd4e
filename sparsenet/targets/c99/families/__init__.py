"""Every kernel family of exported C, once: names, arguments and what each computes."""

from __future__ import annotations

from sparsenet.targets.c99.families.bytes import BYTES
from sparsenet.targets.c99.families.numbers import NUMBERS
from sparsenet.targets.family import by_name

FAMILIES = by_name(*NUMBERS, *BYTES)
