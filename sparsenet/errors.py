"""Every error sparsenet raises on purpose: one base class, one clear line each.

The command line prints ``error: <message>`` and exits with 2 for any of them; nothing else is caught there,
so an unexpected exception still shows its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.text.one_line import LONGEST, one_line


class SparsenetError(Exception):
    """Base of all errors that name a problem the caller can act on.

    Whatever a file calls things, the message is one line of at most ``one_line.LONGEST`` printable characters.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(one_line(a) if isinstance(a, str) else a for a in arguments))


class GraphError(SparsenetError, ValueError):
    """A graph breaks a rule: unknown tensor, wrong shape, missing attribute, cycle."""


class InputError(SparsenetError, ValueError):
    """An inference input has the wrong name, shape or dtype, or holds NaN where that was forbidden."""


class ModelFileError(SparsenetError, ValueError):
    """A model file is truncated, tampered with, from a newer format, or not a model at all."""


class MemoryLimitError(SparsenetError, MemoryError):
    """A model would take more memory than the limit allows; nothing was allocated."""


class BundleError(SparsenetError, ValueError):
    """A compiled bundle is damaged, for another CPU or another version, or cannot be written where it was asked for."""


class UnsupportedOpError(SparsenetError, NotImplementedError):
    """A source network uses operations that have no counterpart here.

    Attributes:
        reasons: one line for each of them; the message lists as many as fit into it.
    """

    def __init__(self, message: str, reasons: Sequence[str] = ()) -> None:
        self.reasons = [one_line(reason) for reason in reasons]
        super().__init__(_listed(message, self.reasons) if reasons else message)


class DeviceError(SparsenetError, RuntimeError):
    """The device that was asked for is not there, or cannot be used."""


class MissingCompilerError(SparsenetError, ImportError):
    """Compiled kernels were asked for, but what compiles them cannot be imported."""


class MissingExtraError(SparsenetError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the extra '{extra}': pip install '.[{extra}]' in the folder of sparsenet's source"
        )
        self.extra = extra


class DataError(SparsenetError, ValueError):
    """A data folder, image or split file cannot be used."""


class MaskError(SparsenetError, ValueError):
    """A pruning mask does not fit the model, holds values other than 0 and 1, or would empty a layer."""


class CheckpointError(SparsenetError, ValueError):
    """A training checkpoint is unreadable or belongs to another run."""


def _listed(message: str, reasons: Sequence[str]) -> str:
    """``message`` and as many of ``reasons`` as a message has room for, but at least one."""
    text = f"{message}: {reasons[0]}"
    for count, reason in enumerate(reasons[1:], 1):
        more = f"; and {len(reasons) - count} more"
        if len(text) + len(reason) + len("; and 99999 more") > LONGEST:
            return one_line(text, LONGEST - len(more)) + more
        text += f"; {reason}"
    return text
