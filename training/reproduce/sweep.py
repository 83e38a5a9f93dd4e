"""Start the sweep: Snakemake over ``workflow.smk``, in this process, so that a kill reaches the scheduler itself."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from pathlib import Path

from sparsenet.errors import DataError, InputError, MissingExtraError, SparsenetError
from sparsenet.targets.cpu.runtime.threads import available_cpus
from training.data.load import require_layout
from training.reproduce.settings import Settings
from training.torch_file import read_torch_file

WORKFLOW = Path(__file__).with_name("workflow.smk")
REPORT = "report.html"


def run(
    settings: Settings, out: Path, cores: int | None = None, options: Sequence[str] = (), quiet: bool = False
) -> Path:
    """Make everything that ``settings`` asks for and return the report's path.

    Args:
        settings: how large; stored as ``settings.json`` in the run's folder.
        out: the run's folder. What it holds already, from an earlier run or one that was killed, is not made again.
        cores: how many cells run at once; None takes the CPUs this process may use.
        options: further options of the ``snakemake`` command, such as ``--executor slurm --jobs 40``.
        quiet: whether to say nothing of cells that go well.

    Raises:
        MissingExtraError: Snakemake is not installed.
        InputError: ``cores`` is less than 1.
        DataError: the folder cannot be used, or another run is using it.
        SparsenetError: cells failed; their logs lie in ``logs/``.
    """
    try:
        from snakemake.cli import main
    except ImportError:
        raise MissingExtraError("`sparsenet reproduce`", "reproduce") from None
    if cores is not None and cores < 1:
        raise InputError(f"cores must be at least 1, got {cores}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {out}: {error.strerror}") from None
    with _locked(out):
        settings.save(out / "settings.json")
        arguments = _arguments(out, cores or available_cpus(), quiet)
        try:
            main([*arguments, *options])
        except SystemExit as end:
            if end.code:
                raise SparsenetError(
                    f"not everything could be made: see {out / 'logs'}; the same command goes on from here"
                ) from None
    return out / REPORT


def require_inputs(settings: Settings) -> None:
    """Check, before a sweep begins, what every cell of it would read.

    Raises:
        InputError: there is no such method.
        DataError: the images lie in no known layout.
        CheckpointError: the backbone's file is damaged or no file of weights.
    """
    from training.reproduce.comparison import METHODS

    asked = (*settings.comparison.methods, *settings.tradeoff.training.methods)
    unknown = [method for method in asked if method not in METHODS]
    if unknown:
        raise InputError(f"unknown method '{unknown[0]}': choose of {', '.join(METHODS)}")
    if settings.data is not None:
        require_layout(settings.data)
    if settings.snip.backbone is not None:
        read_torch_file(settings.snip.backbone)


def _arguments(out: Path, cores: int, quiet: bool) -> list[str]:
    return [
        "--scheduler", "greedy", "--keep-going", "--rerun-incomplete", "--nolock",
        "--rerun-triggers", "mtime", "input", "params",
        "--resources", "timing=1", f"gpu={_gpus() or cores}",
        "--show-failed-logs", "--quiet", *(["all"] if quiet else ["host", "reason", "rules"]),
        # Last, since these take one value each: what the caller adds may begin with the files to make.
        "--snakefile", str(WORKFLOW), "--directory", str(out), "--cores", str(cores),
    ]  # fmt: skip


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    """One run at a time in a folder; the system lets go when the process ends, however it ends."""
    with (out / ".lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(
                f"another run is working in {out}: wait for it, or choose another folder"
            ) from None
        yield
