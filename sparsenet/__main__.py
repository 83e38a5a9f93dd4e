"""``python -m sparsenet``, for launchers that take a module: ``torchrun -m sparsenet train ...``."""

from __future__ import annotations

from sparsenet.cli import main

if __name__ == "__main__":
    main(prog_name="sparsenet")
