"""``python -m tests.killed N COMMAND …``: sparsenet's command line, which kills itself once it has reported N epochs.

A test that watches a process from outside may come too late where the machine is busy.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import click

from sparsenet.cli import main

_echo, _left = click.echo, [int(sys.argv.pop(1))]


def _echo_and_die(message: Any = None, **options: Any) -> None:
    _echo(message, **options)
    _left[0] -= str(message).startswith("epoch ")
    if not _left[0]:
        os.kill(os.getpid(), signal.SIGKILL)


click.echo = _echo_and_die
main()
