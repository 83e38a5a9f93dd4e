"""Commands of ``python -m bench.…``: what is wrong with their arguments, files or machine is one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from sparsenet.cli import one_line_errors
from sparsenet.commands.several import SeveralValues


class BenchCommand(SeveralValues):
    """A command whose errors look like those of ``sparsenet``: ``error: …`` on stderr, and exit code 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        with one_line_errors(ctx.command_path, package="bench"):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Do the work."""
        with one_line_errors(ctx.command_path, package="bench"):
            return super().invoke(ctx)


def bench_command(*examples: str, notes: str = "") -> Callable[[Callable[..., Any]], BenchCommand]:
    """Make a function a command.

    Args:
        examples: command lines for its help.
        notes: a paragraph before them.
    """
    lines = "\n  ".join(examples)
    epilog = f"{notes}\n\n\b\nExamples:\n  {lines}".strip()
    settings = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
    return click.command(cls=BenchCommand, epilog=epilog, context_settings=settings)
