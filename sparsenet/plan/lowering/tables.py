"""The tables a target provides for planning: how each op becomes stages, reads maps, and what halo it needs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Protocol, cast

from sparsenet.graph import Graph, Node, Shape
from sparsenet.plan.builder import Builder, Halo, Reads
from sparsenet.plan.lowering.builder import Lowering
from sparsenet.targets.target import Target


class Tables(Protocol):
    """A module that ``Target.lowering`` names."""

    #: Op → ``f(builder, node)``, which adds the node's stages.
    LOWER: Mapping[str, Lowering[Builder]]
    #: The same for nodes in integers, of the ops that the target computes so (see ``graph.integer``).
    INTEGER: Mapping[str, Lowering[Builder]]
    #: Op → how it reads maps, of those that prefer one way.
    READS: Mapping[str, Reads]
    #: Op → ``f(graph, shapes, node)``: what it needs around its first input, of those that read it in place.
    HALOS: Mapping[str, Callable[[Graph, Mapping[str, Shape], Node], Halo]]


def tables_of(target: Target) -> Tables:
    """The tables of ``target``, loaded when they are first needed."""
    return cast(Tables, importlib.import_module(target.lowering))
