"""The argument MODEL: a file, a folder, or the name of a network that an installed package makes."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsenet.errors import InputError
from sparsenet.io.networks import is_network, make_network, network_names
from sparsenet.text.nearest import did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class ModelName(click.Path):
    """A path, for commands that know themselves what to do with the name of a network."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """The path; InputError if there is no such file, but a network of nearly that name."""
        path: Path = super().convert(value, param, ctx)  # type: ignore[assignment]
        if not (ctx and ctx.resilient_parsing) and not is_network(path) and not os.path.lexists(path):
            hint = did_you_mean(str(path), network_names())
            if hint:
                raise InputError(f"no such file: '{path}'{hint}")
        return path

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Networks by name, and files."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name) for name in network_names() if name.startswith(incomplete)]
        return names + super().shell_complete(ctx, param, incomplete)


class ModelPath(ModelName):
    """A path, too, where a network is meant: that of a model file made of it, which is gone after the command."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """The path."""
        path: Path = super().convert(value, param, ctx)
        if ctx is None or ctx.resilient_parsing or not is_network(path):
            if path.suffix.lower() == ".onnx" and path.is_file():
                made = path.with_suffix(".safetensors").name
                raise InputError(
                    f"'{path}' is no model file: `sparsenet convert {path} -o {made}` makes one of it"
                )
            return path
        from sparsenet.io.model_file import save

        folder = tempfile.mkdtemp(prefix="sparsenet-")
        # A context is never closed where a required option is missing; then the folder goes with it, without a warning.
        ctx.call_on_close(weakref.finalize(ctx, shutil.rmtree, folder, ignore_errors=True))
        file = Path(folder) / f"{path}.safetensors"
        save(make_network(str(path)), file)
        return file
