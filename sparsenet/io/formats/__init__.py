"""Machine-neutral weight formats: how the nonzeros are laid out (dense, CSR, bitmask) and how each is written.

A weight of shape (C_out, ...) is always viewed as the matrix [C_out, C_in · K_h · K_w] in C order. Nothing here
knows a machine: the plan packs its own layouts from the dense weight or from ``CSR``.
"""

from __future__ import annotations

from sparsenet.io.formats.bitmask import Bitmask
from sparsenet.io.formats.csr import CSR
from sparsenet.io.formats.dense import Dense

__all__ = ["CSR", "Bitmask", "Dense"]
