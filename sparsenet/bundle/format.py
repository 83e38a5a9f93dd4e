"""The format of a bundle, which reader and writer share: its files, and what is in them."""

from __future__ import annotations

from dataclasses import dataclass

from sparsenet.errors import BundleError
from sparsenet.plan.plan import Plan
from sparsenet.targets.cpu.runtime import jit
from sparsenet.targets.cpu.runtime.elf import ObjectFileError

FORMAT = "sparsenet-bundle"
FORMAT_VERSION = 5
MANIFEST, PLAN, TAPES, WEIGHTS, CODE = "manifest.json", "plan.json", "tapes.bin", "weights.bin", "code.bin"
#: Bytes that a manifest may take at most; it takes about 1 kB.
MAX_MANIFEST_BYTES = 2**20


@dataclass(frozen=True)
class Bundle:
    """The contents of a bundle.

    Attributes:
        plan: not linked yet; its weights are mapped from the file, and shared by all processes that do so.
        code: machine code by name: of every kernel on the tapes and of ``tape.FUNCTIONS``.
        sparse: whether sparse kernels were allowed.
        metadata: what the model says beside its graph.
    """

    plan: Plan
    code: dict[str, bytes]
    sparse: bool
    metadata: dict[str, str]

    def load_code(self) -> dict[str, int]:
        """Address of every function by name.

        Raises:
            BundleError: this is no code for this machine.
        """
        try:
            return dict(zip(self.code, jit.load_once(list(self.code.values())), strict=True))
        except ObjectFileError as error:
            raise BundleError(f"the bundle's machine code cannot be loaded: {error}") from None
