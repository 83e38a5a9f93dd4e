"""Where a training that was interrupted goes on from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from training.reproduce.settings import Settings


def checkpoint_for(weights: Path, settings: Settings, *sections: Any) -> Path:
    """The checkpoint beside ``weights``; other settings of the sections or other images have another.

    It stays when the training is over: the cell may be killed before it is done, and its weights count as unfinished
    then. The workflow removes it once everything is made.
    """
    asked = [dataclasses.asdict(section) for section in sections]
    identity = [*asked, settings.data, settings.images, settings.augment, settings.precision]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    weights.parent.mkdir(parents=True, exist_ok=True)
    return weights.with_name(f"{weights.stem}-{digest[:12]}.checkpoint")
