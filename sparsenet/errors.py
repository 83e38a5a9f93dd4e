"""Every error sparsenet raises on purpose: one base class, one clear line each.

The command line prints ``error: <message>`` and exits with 2 for any of them; nothing else is caught there,
so an unexpected exception still shows its traceback.
"""

from __future__ import annotations


class SparsenetError(Exception):
    """Base of all errors that name a problem the caller can act on."""


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
    """A source network uses operations that have no counterpart here; the message lists every one."""


class DeviceError(SparsenetError, RuntimeError):
    """The device that was asked for is not there, or cannot be used."""


class MissingCompilerError(SparsenetError, ImportError):
    """Compiled kernels were asked for, but what compiles them cannot be imported."""


class MissingExtraError(SparsenetError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the '{extra}' extra: pip install 'sparsenet[{extra}]'")
        self.extra = extra


class DataError(SparsenetError, ValueError):
    """A data folder, image or split file cannot be used."""


class MaskError(SparsenetError, ValueError):
    """A pruning mask does not fit the model, holds values other than 0 and 1, or would empty a layer."""


class CheckpointError(SparsenetError, ValueError):
    """A training checkpoint is unreadable or belongs to another run."""
