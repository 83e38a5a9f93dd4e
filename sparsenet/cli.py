"""The ``sparsenet`` command: one lazy group over the entry points of all three packages.

Listing the commands imports none of them, so ``sparsenet --help`` answers at once even where PyTorch is
installed and still lists everything where it is not. Errors become one line here and nowhere else.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click

from sparsenet.entry_points import load_extensions
from sparsenet.errors import InputError, MemoryLimitError, MissingExtraError, SparsenetError
from sparsenet.text.nearest import did_you_mean
from sparsenet.text.one_line import one_line

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

ENTRY_POINTS = "sparsenet.commands"

# The listing's sections and one line for each command, here so that showing them imports nothing.
# Commands another distribution brings are listed under "Other" with their own help.
SECTIONS: dict[str, dict[str, str]] = {
    "The whole way": {
        "demo": "Teacher, student, distil, prune, convert, run, measure: one report.",
        "reproduce": "Every table and figure of both papers (extra 'reproduce').",
    },
    "Train (extra 'train')": {
        "train": "Train a model of the zoo on images.",
        "distill": "Train a student on a teacher's softened outputs.",
        "prune": "Prune a trained model, at once or on a schedule while it trains.",
        "lottery": "Find lottery tickets level by level, beside random ones.",
        "evaluate": "Accuracy, F1, recall and confusion matrix on a test split.",
    },
    "Detect faces (extra 'train')": {
        "train-detector": "Train a face detector on annotated images.",
        "evaluate-detector": "Average precision and latency, as it is and pruned.",
    },
    "Convert (extra 'train' or 'onnx')": {
        "convert": "Checkpoint or ONNX to model file, verified and measured.",
        "quantize": "Any of these, or a model file, to one that is computed in int8.",
    },
    "Run": {
        "info": "What is in a model file: layers, shapes, sparsity, bytes.",
        "run": "Run a model on an array, an image or random input.",
        "detect": "Find the faces in an image, and draw them.",
        "profile": "Time each layer.",
        "bench": "Time a model here and in other engines, side by side.",
        "predict": "What pruning would bring here, from measured tables.",
        "sensitivity": "What pruning each layer alone would cost and save.",
        "explain": "Format and kernel of each layer, and why; the schedule, drawn.",
        "compile": "Model file to a bundle that starts at once on CPUs like this one.",
        "export-c": "Model file to C99 for microcontrollers, with exact RAM and flash.",
    },
}
_SHORT_HELP = {name: text for section in SECTIONS.values() for name, text in section.items()}

# The modules that an extra brings and a command may find missing. Of several extras the first is named, but to commands
# of a package that needs some anyway one of these.
EXTRAS = {
    "images": ("PIL",),
    "plot": ("matplotlib",),
    "onnx": ("onnx",),
    "train": ("torch", "accelerate", "PIL", "tqdm", "matplotlib", "jinja2", "scipy"),
    "bench": ("pytest_benchmark", "onnx", "onnxruntime", "openvino", "scipy", "threadpoolctl", "tqdm"),
    "cuda": ("numba_cuda",),
    "reproduce": ("snakemake",),
}
PACKAGE_EXTRAS = {"training": ("train",), "bench": ("onnx", "bench", "train")}


class CommandFailed(click.ClickException):
    """Bad input: click shows it as one line, ``error: ...``, and exits with 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message on stderr, on one line whatever it came with."""
        click.echo(f"error: {one_line(self.message)}", file=file, err=file is None)


class CommandGroup(click.Group):
    """Finds subcommands through entry points and imports one only when it is called."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's own options; a wrong one becomes one line."""
        with one_line_errors(ctx.command_path, ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; every error that names a problem of the caller's becomes one line."""
        with one_line_errors(ctx.command_path, ctx):
            load_extensions()
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand, its name noted first so that an error while it is imported can tell it."""
        ctx.invoked_subcommand = args[0]
        known = self.list_commands(ctx)
        if not known:
            raise SparsenetError(
                "sparsenet is not installed, so it has no commands: run `pip install .` in its folder"
            )
        if args[0] not in known and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command '{args[0]}'{did_you_mean(args[0], known)}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What ``incomplete`` may become: commands, none of them imported for it, or options."""
        from click.shell_completion import CompletionItem

        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=_SHORT_HELP.get(name)) for name in names] + options

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of every installed subcommand: the known ones in the order of ``SECTIONS``, then the rest."""
        found = {point.name for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}
        return [name for name in _SHORT_HELP if name in found] + sorted(found - _SHORT_HELP.keys())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one subcommand; ``None`` for an unknown name."""
        for point in importlib.metadata.entry_points(group=ENTRY_POINTS, name=cmd_name):
            command = point.load()
            if not isinstance(command, click.Command):
                raise SparsenetError(f"the entry point {point.value} of '{cmd_name}' is not a click command")
            return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the listing, section by section."""
        names = self.list_commands(ctx)
        for title, commands in SECTIONS.items():
            rows = [(name, text) for name, text in commands.items() if name in names]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=18)
        others = [name for name in names if name not in _SHORT_HELP]
        if others:
            with formatter.section("Other"):
                formatter.write_dl([(name, _foreign_help(self, ctx, name)) for name in others])


def _foreign_help(group: CommandGroup, ctx: click.Context, name: str) -> str:
    try:
        command = group.get_command(ctx, name)
    except (SparsenetError, ImportError) as error:
        return f"(does not load: {error})"
    return command.get_short_help_str(80) if command else ""


@contextmanager
def one_line_errors(
    command: str, group: click.Context | None = None, package: str = "sparsenet"
) -> Iterator[None]:
    """A context in which errors that name a problem of the caller's become a ``CommandFailed``, shown as one line.

    Args:
        command: what was typed, without options.
        group: the context of a group, which knows what follows, and whether tracebacks are asked for.
        package: that the command belongs to, where there is no group.
    """
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else command
        raise CommandFailed(f"{_usage_text(error)} `{where} --help`") from error
    except BrokenPipeError:
        raise  # whoever read our output has had enough, and click ends without a word
    except (SparsenetError, ModuleNotFoundError, MemoryError, RuntimeError, OSError) as error:
        called = f"{command} {group.invoked_subcommand}" if group else command
        shown = missing_extra(error, f"`{called}`", _package(group.invoked_subcommand) if group else package)
        if shown is None:
            raise
        if isinstance(error, OSError):
            _give_up_unwritten()
        if group and group.params.get("debug"):
            traceback.print_exc()
        raise CommandFailed(str(shown)) from error


def _give_up_unwritten() -> None:
    """Drop what standard output could not take: Python would try again, and complain, when the process ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _usage_text(error: click.UsageError) -> str:
    """What is wrong with a command line, up to the word before where to read more."""
    if isinstance(error, click.NoSuchOption):
        text = f"No such option '{error.option_name}'{did_you_mean(error.option_name, error.possibilities or ())}"
    else:
        text = error.format_message().rstrip(".")
    return f"{text} See" if text.endswith("?") else f"{text}; see"


def _package(command: str | None) -> str:
    """The package that a subcommand's entry point leads to."""
    points = importlib.metadata.entry_points(group=ENTRY_POINTS, name=command or "")
    return "".join(point.value.partition(".")[0] for point in list(points)[:1])


def missing_extra(
    error: SparsenetError | ModuleNotFoundError | MemoryError | RuntimeError | OSError,
    what: str,
    package: str = "sparsenet",
) -> SparsenetError | None:
    """``error`` as the error to show: the extra to install for a missing module; ``None`` if it is a bug.

    Args:
        what: needs it.
        package: that ``what`` belongs to.
    """
    if isinstance(error, SparsenetError):
        return error
    if isinstance(error, OSError):
        where = "the output" if error.filename is None else error.filename
        return InputError(f"{where}: {error.strerror or error}")
    if isinstance(error, MemoryError):
        return MemoryLimitError(
            f"{what} does not get the memory that it needs from the system {error}".rstrip()
        )
    if isinstance(error, RuntimeError):  # PyTorch has no other way to say it
        short = any(words in str(error) for words in ("can't allocate memory", "out of memory"))
        return MemoryLimitError(f"{what} needs more memory than the system gives") if short else None
    module = (error.name or "").partition(".")[0]
    bringing = (extra for extra in (*PACKAGE_EXTRAS.get(package, ()), *EXTRAS) if module in EXTRAS[extra])
    extra = next(bringing, None)
    return MissingExtraError(what, extra) if extra else None


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="`sparsenet COMMAND --help` shows a command's options and an example.",
)
@click.version_option(package_name="sparsenet", message="sparsenet %(version)s")
@click.option(
    "--debug", is_flag=True, envvar="SPARSENET_DEBUG", help="Show an error's traceback.", show_envvar=True
)
def main(debug: bool) -> None:
    """Prune a convolutional network, convert it, and run it faster than dense, without PyTorch."""
