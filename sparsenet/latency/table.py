"""The table of what layers took on this machine, kept on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from sparsenet.errors import SparsenetError
from sparsenet.io import cache, strict_json
from sparsenet.latency.estimate import Estimator, Sample
from sparsenet.latency.work import LayerWork
from sparsenet.targets.cpu.runtime.jit import fingerprint
from sparsenet.targets.host import host

#: Which layers are measured: another number where they are others.
FORM = 50


def table_name() -> tuple[str, str]:
    """Under what this machine's table is kept in the cache: by CPU, compiler, kernel sources and what is measured."""
    return "predict", f"{fingerprint()}-{host().vector().lanes}-{FORM}.json"


def keep(samples: Sequence[Sample]) -> Estimator:
    """Keep what was measured; the estimator that it makes."""
    cache.keep(*table_name(), json.dumps({"samples": [asdict(sample) for sample in samples]}).encode())
    return Estimator(samples)


def load() -> Estimator:
    """The estimator of this machine.

    Raises:
        SparsenetError: nothing was measured with these kernels yet.
    """
    try:
        known = strict_json.parse(cache.kept(*table_name()) or b"")
        return Estimator([Sample(**{**one, "work": LayerWork(**one["work"])}) for one in known["samples"]])
    except (ValueError, KeyError, TypeError) as error:
        raise SparsenetError(
            "nothing was measured on this machine with these kernels: run `sparsenet predict MODEL --measure` once "
            "(some minutes)"
        ) from error
