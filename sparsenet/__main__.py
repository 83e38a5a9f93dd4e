"""``python -m sparsenet``, for launchers that take a module: ``torchrun -m sparsenet train ...``."""

from __future__ import annotations

import sys
from pathlib import Path


def forget_working_folder() -> None:
    """Let the folder that Python was started in hide none of our packages by a ``training`` or ``bench`` of its own.

    ``python -m`` puts it in front of ``sys.path``. It stays where this package itself has been found in it.
    """
    first, ours = Path(sys.path[0]).resolve(), Path(__file__).resolve().parents[1]
    if first == Path.cwd().resolve() != ours:
        del sys.path[0]


if __name__ == "__main__":
    forget_working_folder()
    from sparsenet.cli import main

    main(prog_name="sparsenet")
