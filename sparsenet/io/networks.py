"""Networks that are taken by name where a file is meant: those that installed packages can make.

A package enters each as an entry point of the group ``sparsenet.networks``: its name, and a function that makes a
``Graph`` of that name and of the side of its images in pixels (or None).
"""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sparsenet.entry_points import loaded, names
from sparsenet.errors import InputError
from sparsenet.text.nearest import did_you_mean

if TYPE_CHECKING:
    from sparsenet.graph import Graph

NETWORKS = "sparsenet.networks"


def network_names() -> list[str]:
    """Names of all networks, none of which is made or imported for it."""
    return names(NETWORKS)


def is_network(name: str | os.PathLike[str]) -> bool:
    """Whether a network is meant: there is one of that name, and no such file or folder."""
    return os.fspath(name) in network_names() and not Path(name).exists()


def make_network(name: str, size: int | None = None) -> Graph:
    """The network of that name.

    Args:
        name: of the network.
        size: side of its images in pixels; None takes what it is made for.

    Raises:
        InputError: there is none of that name, or it does not take images of that size.
        SparsenetError: the function that makes it cannot be imported.
    """
    for point in importlib.metadata.entry_points(group=NETWORKS, name=name):
        graph: Graph = loaded(point)(name, size)
        return graph
    known = network_names()
    hint = did_you_mean(name, known) or f": choose from {', '.join(known)}"
    raise InputError(f"unknown model '{name}'{hint}")
