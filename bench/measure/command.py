"""Commands of ``python -m bench.…``: what is wrong with their arguments, files or machine is one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from sparsenet.cli import CommandFailed, one_line_errors


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose complaints are one line; for mains called by ``run``."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line."""
        raise CommandFailed(f"{message}; see `{self.prog} --help`")


class BenchCommand(click.Command):
    """A command whose errors look like those of ``sparsenet``: ``error: …`` on stderr, and exit code 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        with one_line_errors(ctx.command_path):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Do the work."""
        with one_line_errors(ctx.command_path):
            return super().invoke(ctx)


def run(main: Callable[[], int | None], name: str) -> NoReturn:
    """End the process with what ``main`` returns, for commands that read their command line themselves."""
    try:
        with one_line_errors(f"python -m {name}"):
            code = main()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except KeyboardInterrupt:
        click.echo("\nAborted!", err=True)
        code = 1
    sys.exit(code)
