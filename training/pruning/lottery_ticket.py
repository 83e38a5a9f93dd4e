"""Lottery tickets: train, prune the smallest weights, rewind, train again, level by level; and what it is worth.

Every level leaves files in one folder, whole or not at all, so a run that was killed continues where it was: finished
networks are read, and the one in training goes on from its checkpoint.

    level-00.safetensors          trained weights of the dense network      start.safetensors   what it started from
    level-03.safetensors          … of the ticket of level 3                early.safetensors   after the early step
    level-03.masks.safetensors    its masks                                 settings.json       of which run this is
    level-03.json                 its record; written last                  level-03.checkpoint while it trains
    level-03-shuffled.…           a control of level 3, likewise
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from sparsenet.checks import items, one_of, real_number, shown, whole_number
from sparsenet.errors import CheckpointError, InputError
from sparsenet.io import strict_json
from sparsenet.io.files import write_atomically
from sparsenet.text.table import to_json
from training.loop.run import Hook
from training.pruning.block_shape import Block, block_length
from training.pruning.controls import shuffle
from training.pruning.find import find_masks
from training.pruning.masks import Masks
from training.pruning.prunable import prunable_weights
from training.pruning.rewind import Rewind, Snapshot
from training.pruning.scopes import WeightScope

Control = Literal["shuffled", "reinitialised"]
DENSE, TICKET = "dense", "ticket"


class Trainer(Protocol):
    """What a lottery needs to know of a task: see ``image_trainer.ImageTrainer``."""

    @property
    def steps(self) -> int:
        """Optimizer steps of one training."""

    def identity(self) -> dict[str, Any]:
        """Plain values; a run may only be continued with the same ones."""

    def train(self, model: nn.Module, hooks: list[Hook], checkpoint: Path, first_step: int) -> nn.Module:
        """Train a copy, from ``checkpoint`` if it exists and as if ``first_step`` steps were taken already."""

    def test(self, model: nn.Module) -> dict[str, float]:
        """Figures of a trained network, such as its accuracy."""

    def save(self, path: Path, model: nn.Module, notes: dict[str, str]) -> None:
        """Write the network's state dict as .safetensors, whole or not at all."""


@dataclass(frozen=True)
class LotterySettings:
    """Which tickets to draw.

    Attributes:
        sparsities: of the levels after the dense network, rising. See ``by_rate``.
        rewind: where every level starts from.
        controls: networks trained beside every ticket, with as many weights in every layer: "shuffled" has them at
            random places (the random ticket), "reinitialised" keeps the places and draws new weights.
        scope, include, exclude: of the magnitude pruning, as in ``find_masks``.
        block: what lives and dies together, (1, 4) for example; see ``blocks``. Shuffled controls move whole blocks.
        min_density: share of its weights that every layer keeps at least.
        seed: of masks, shuffles and fresh weights.
    """

    sparsities: tuple[float, ...]
    rewind: Rewind = field(default_factory=Rewind)
    controls: tuple[Control, ...] = ("shuffled",)
    scope: WeightScope = "global"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    block: Block | None = None
    min_density: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        sparsities = [
            real_number(s, "sparsities of the levels", 0, 1) for s in items(self.sparsities, "sparsities")
        ]
        rising = all(a < b for a, b in zip((0.0, *sparsities), (*sparsities, 1.0), strict=True))
        if not sparsities or not rising:
            raise InputError(f"sparsities of the levels must rise within (0, 1); got {self.sparsities}")
        if not isinstance(self.rewind, Rewind):
            raise InputError(f"rewind must be a Rewind, got {shown(self.rewind)}")
        for control in items(self.controls, "controls"):
            one_of(control, "controls", ("shuffled", "reinitialised"))
        one_of(self.scope, "scope", get_args(WeightScope))
        for name in ("include", "exclude"):
            for pattern in items(getattr(self, name), name):
                if not isinstance(pattern, str):
                    raise InputError(f"{name} must be patterns of names, got {shown(pattern)}")
        block_length(self.block)
        real_number(self.min_density, "min_density", 0, 1)
        whole_number(self.seed, "seed", least=0)


#: Beyond so many nothing is left of any network.
MAX_LEVELS = 1000


def by_rate(levels: int, rate: float = 0.2) -> tuple[float, ...]:
    """Sparsities if every level removes ``rate`` of what is left: 0.2, 0.36, 0.488, … (Frankle and Carbin 2019)."""
    levels, rate = whole_number(levels, "levels", MAX_LEVELS), real_number(rate, "rate", 0, 1, above=True)
    if rate == 1:
        raise InputError("rate must be less than 1: the first level would keep nothing")
    return tuple(1 - (1 - rate) ** level for level in range(1, levels + 1))


@dataclass(frozen=True)
class LevelRecord:
    """One trained network.

    Attributes:
        level: 0 is the dense network.
        network: "dense", "ticket" or the name of a control.
        sparsity: fraction of zeros over the weights that may be pruned.
        kept, total: numbers of these weights.
        metrics: figures of ``Trainer.test``.
        weights, masks: file names in the run's folder; no masks for the dense network.
    """

    level: int
    network: str
    sparsity: float
    kept: int
    total: int
    metrics: dict[str, float]
    weights: str
    masks: str | None


def draw_tickets(
    make: Callable[[int], nn.Module],
    trainer: Trainer,
    settings: LotterySettings,
    folder: Path,
    say: Callable[[str], None] = lambda _: None,
) -> list[LevelRecord]:
    """Iterative magnitude pruning with rewinding; the sparsity-accuracy curve of the tickets and their controls.

    Args:
        make: seed → freshly initialised network.
        trainer: trains and tests networks.
        settings: the levels.
        folder: where everything is kept; made if missing. An unfinished run of the same settings continues.
        say: told in a line what is done next.

    Raises:
        CheckpointError: the folder holds another run, or is damaged, or cannot be written.
        InputError: the early step lies behind the end of the training.
        MaskError: nothing can be pruned.
    """
    if settings.rewind.step >= trainer.steps:
        raise InputError(
            f"a training has {trainer.steps} steps: it cannot be rewound to step {settings.rewind.step}"
        )
    # Bad patterns are errors before the first training, not after it.
    prunable_weights(make(settings.seed), settings.include, settings.exclude)
    _claim(folder, {"settings": _plain(asdict(settings)), "trainer": _plain(trainer.identity())})
    return _Lottery(make, trainer, settings, folder, say).run()


class _Lottery:
    def __init__(
        self,
        make: Callable[[int], nn.Module],
        trainer: Trainer,
        settings: LotterySettings,
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self.make, self.trainer, self.settings, self.folder, self.say = make, trainer, settings, folder, say
        self.start, self.early = folder / "start.safetensors", folder / "early.safetensors"

    def run(self) -> list[LevelRecord]:
        seed = self.settings.seed
        if not self.start.exists():
            self.trainer.save(self.start, self.make(seed), {"lottery": "start"})
        early = self.settings.rewind.to == "early"
        snapshot = Snapshot(self.settings.rewind.step) if early else None
        records = [self._trained(0, DENSE, None, self._load(self.start), 0, snapshot)]
        masks: Masks | None = None
        for level, sparsity in enumerate(self.settings.sparsities, start=1):
            masks = self._masks(level, sparsity, masks)
            step = self.settings.rewind.step
            records.append(self._trained(level, TICKET, masks, self._rewound(level), step))
            for control in self.settings.controls:
                if control == "shuffled":
                    others = shuffle(masks, seed + level)
                    records.append(self._trained(level, control, others, self._rewound(level), step))
                else:
                    # Below the seeds of fresh tickets, so that the two never meet.
                    records.append(self._trained(level, control, masks, self.make(seed - level), 0))
        return records

    def _masks(self, level: int, sparsity: float, within: Masks | None) -> Masks:
        """The smallest weights of the ticket before are pruned."""
        if self._path(level, TICKET, "json").exists():
            return Masks.load(self._path(level, TICKET, "masks.safetensors"))
        return find_masks(
            self._load(self._path(level - 1, TICKET, "safetensors")),
            "l1",
            sparsity,
            scope=self.settings.scope,
            include=self.settings.include,
            exclude=self.settings.exclude,
            block=self.settings.block,
            min_density=self.settings.min_density,
            within=within,
            seed=self.settings.seed,
        )

    def _rewound(self, level: int) -> nn.Module:
        """What a ticket starts from."""
        if self.settings.rewind.to == "fresh":
            return self.make(self.settings.seed + level)
        return self._load(self.early if self.settings.rewind.to == "early" else self.start)

    def _trained(
        self,
        level: int,
        network: str,
        masks: Masks | None,
        model: nn.Module,
        first_step: int,
        snapshot: Snapshot | None = None,
    ) -> LevelRecord:
        """The record of a finished network, or of one that is trained, or trained to its end, now."""
        record_path = self._path(level, network, "json")
        if record_path.exists():
            return _read_record(record_path)
        self.say(_title(level, len(self.settings.sparsities), network, masks))
        if masks is not None:
            masks.apply(model)
        hooks: list[Hook] = [hook for hook in (masks, snapshot) if hook is not None]
        checkpoint = self._path(level, network, "checkpoint")
        trained = self.trainer.train(model, hooks, checkpoint, first_step)
        if snapshot is not None:
            assert snapshot.state is not None
            model.load_state_dict(snapshot.state)
            self.trainer.save(self.early, model, {"lottery": f"step {snapshot.step}"})
        # The weights of the dense network that could be pruned: what the levels will be counted in.
        counted = masks or find_masks(
            trained, sparsity=0.0, include=self.settings.include, exclude=self.settings.exclude
        )
        weights, masks_path = (self._path(level, network, s) for s in ("safetensors", "masks.safetensors"))
        notes = {"lottery": f"level {level}, {network}", "sparsity": f"{counted.sparsity:.6f}"}
        self.trainer.save(weights, trained, notes)
        if masks is not None:
            masks.save(masks_path)
        record = LevelRecord(
            level,
            network,
            counted.sparsity,
            counted.nnz,
            counted.total,
            self.trainer.test(trained),
            weights.name,
            masks_path.name if masks is not None else None,
        )
        _write_json(record_path, asdict(record))
        checkpoint.unlink(missing_ok=True)
        return record

    def _load(self, path: Path) -> nn.Module:
        model = self.make(self.settings.seed)
        try:
            model.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise CheckpointError(f"{path} is missing, damaged or of another network: {reason}") from None
        return model

    def _path(self, level: int, network: str, suffix: str) -> Path:
        name = f"level-{level:02d}" + ("" if network in (DENSE, TICKET) else f"-{network}")
        return self.folder / f"{name}.{suffix}"


def _title(level: int, levels: int, network: str, masks: Masks | None) -> str:
    if masks is None:
        return f"level 0 of {levels}: {network} network"
    return f"level {level} of {levels}: {network}, {masks.sparsity:.1%} zeros"


def _claim(folder: Path, identity: dict[str, Any]) -> None:
    """Note in the folder whose run it is; CheckpointError if it is another's."""
    path = folder / "settings.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = strict_json.read(path) if path.exists() else None
    except OSError as error:
        raise CheckpointError(f"cannot use the folder {folder}: {error.strerror}") from None
    except ValueError:
        raise CheckpointError(f"{path} is damaged: remove the folder to start again") from None
    if known is None:
        _write_json(path, identity)
        return
    for part, values in identity.items():
        before = known.get(part, {}) if isinstance(known, dict) else {}
        for key, value in values.items():
            if before.get(key) != value:
                raise CheckpointError(
                    f"{folder} holds another run: its {key} is {before.get(key)}, now {value}; "
                    "choose another folder"
                )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON gives them back: tuples are lists."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _read_record(path: Path) -> LevelRecord:
    try:
        return LevelRecord(**strict_json.read(path))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): remove it to train this network again") from None


def _write_json(path: Path, values: dict[str, Any]) -> None:
    try:
        write_atomically(path, to_json(values).encode())
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}") from None
