"""Every table and figure of the two papers behind this project, made again, ours beside theirs.

    run(Settings.small(), Path("reproduce-out"))

A run is a sweep of many small *cells* — train one network, prune it one way, time one family — described in
``workflow.smk`` for Snakemake, which runs them in parallel, on one machine or a cluster, and after a kill repeats only
those that were not finished. ``settings`` says how large everything is, ``maskcnn``, ``students``, ``snip``,
``comparison``, ``int8`` and ``tradeoff`` hold the cells, ``latency`` the measurements, ``cell`` starts one of them.
``tables`` and ``figures`` turn what they found into CSV and PNG, ``report`` into one HTML file; ``published`` holds the
papers' figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsenet.lazy import lazy_names

if TYPE_CHECKING:
    from training.reproduce.settings import Settings
    from training.reproduce.sweep import run

__all__ = ["Settings", "run"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Settings": "settings",
        "run": "sweep",
    },
)
