"""Options that several commands share, so that they read the same everywhere; each takes its command's default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from bench.engines import ENGINES
from bench.subjects.networks import MODELS
from bench.subjects.sparsity import BLOCKS
from sparsenet.commands.options import THREADS, FiniteRange
from sparsenet.commands.several import Several

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

SPARSITY = FiniteRange(0, 1, max_open=True)
SIDE = click.IntRange(8, 2**14)


def model_option(default: str | None, text: str = "Network of the zoo.") -> Decorator:
    """One network, as ``model``."""
    return click.option(
        "--model", type=click.Choice(list(MODELS)), default=default, show_default=bool(default), help=text
    )


def models_option(default: Sequence[str], note: str = "") -> Decorator:
    """Several networks, as ``models``; ``note`` tells the default where it is none of the option's."""
    text = f"Networks of the zoo: {', '.join(MODELS)}.{note}"
    return click.option(
        "--models", "--model", "models", cls=Several, type=click.Choice(list(MODELS)), metavar="NAME...",
        default=tuple(default), show_default=bool(default), help=text,
    )  # fmt: skip


def engines_option(default: Sequence[str], text: str = "") -> Decorator:
    """Several engines, as ``engines``."""
    here = ENGINES.entered  # others are not imported for the sake of their labels
    offered = ", ".join(f"{name} ({here[name].label})" if name in here else name for name in ENGINES)
    text = f"{text or 'Engines.'} Of: {offered}."
    return click.option(
        "--engines", "--engine", "engines", cls=Several, type=click.Choice(list(ENGINES)), metavar="NAME...",
        default=tuple(default), show_default=bool(default), help=text,
    )  # fmt: skip


def sparsity_option(default: float) -> Decorator:
    """One sparsity, as ``sparsity``."""
    return click.option(
        "--sparsity", type=SPARSITY, default=default, show_default=True, help="Fraction of zeros."
    )


def sparsities_option(default: Sequence[float], text: str = "Fractions of zeros.") -> Decorator:
    """Several sparsities, as ``sparsity``."""
    return click.option(
        "--sparsity", cls=Several, type=SPARSITY, metavar="S...", default=tuple(default),
        show_default=bool(default), help=text,
    )  # fmt: skip


def blocks_option(default: Sequence[str] | str, text: str) -> Decorator:
    """Shapes of blocks of zeros, as ``block``: one, or several where ``default`` is a sequence."""
    settings: dict[str, Any] = {"type": click.Choice(list(BLOCKS)), "show_default": True, "help": text}
    if isinstance(default, str):
        return click.option("--block", default=default, **settings)
    return click.option("--block", cls=Several, metavar="B...", default=tuple(default), **settings)


def threads_option(default: int | None = 1, least: int = 1, text: str = "Threads.") -> Decorator:
    """One number of threads, as ``threads``."""
    kind = click.IntRange(least, THREADS.max)
    return click.option("--threads", type=kind, default=default, show_default=default is not None, help=text)


def thread_counts_option(default: Sequence[int], *names: str, text: str = "Threads.") -> Decorator:
    """Several numbers of threads, as ``threads``."""
    return click.option(
        "--threads", *names, "threads", cls=Several, type=THREADS, metavar="N...", default=tuple(default),
        show_default=bool(default), help=text,
    )  # fmt: skip


def batches_option(default: Sequence[int], *names: str) -> Decorator:
    """Several batches, as ``batch``."""
    return click.option(
        *(names or ("--batch",)), "batch", cls=Several, type=click.IntRange(1), metavar="N...",
        default=tuple(default), show_default=bool(default),
        help=f"Images at a time.{'' if default else '  [default: 1]'}",
    )  # fmt: skip


def seconds_option(default: float, text: str, *names: str) -> Decorator:
    """Seconds of timing, as ``seconds``."""
    kind = FiniteRange(0, min_open=True)
    return click.option(*names, "--seconds" if not names else "seconds", type=kind, default=default,
        show_default=True, help=text)  # fmt: skip


def rounds_option(default: int, least: int = 3) -> Decorator:
    """Rounds in which everything has a turn, as ``rounds``."""
    return click.option(
        "--rounds", type=click.IntRange(least), default=default, show_default=True,
        help="Rounds, in each of which everything has a turn.",
    )  # fmt: skip


def only_option(what: str) -> Decorator:
    """Part of a name, as ``only``."""
    return click.option("--only", default="", help=f"{what} whose names contain this.")


size_option = click.option(
    "--size", type=SIDE, help="Side of the images of a network of the zoo, instead of what it is made for."
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of weights, input and the order of turns.",
)
#: Where a command also writes its figures, as ``json_file``.
json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write every figure there, too.",
)
