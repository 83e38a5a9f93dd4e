"""One network in several engines, side by side: prepared, outputs compared, then timed in turn.

Engines that compute in fewer bits than float32 are held against float32 of the same network, on several images.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.engines import ENGINES, EngineMissing, Network, Session, session_clock, session_turns
from bench.measure.agreement import Rounded, check_outputs, check_rounded
from sparsenet import Engine, Graph
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray
from sparsenet.targets.cpu.runtime.threads import available_cpus
from sparsenet.timing import Clock, Rounds, rounds_for, stopwatch, take_rounds, turns_of

FEWEST_ROUNDS, MOST_ROUNDS = 5, 2000
#: How many images engines of fewer bits answer before they are believed.
CHECKED_IMAGES = 16


@dataclass(frozen=True)
class Settings:
    """How engines are compared on a network.

    Attributes:
        engines: in the order of the table; outputs are held against those of the first that computes in float32.
        threads, batch: of every engine.
        seconds, warmup: of timing, and of running before it, all engines together; up to three times as many of
            timing where other work disturbs it.
        rounds: how many instead of ``seconds``, or None.
        seed: of the input and of the order.
    """

    engines: tuple[str, ...]
    threads: int = 1
    batch: int = 1
    seconds: float = 10.0
    warmup: float = 2.0
    rounds: int | None = None
    seed: int = 0

    def check(self) -> None:
        """Raise InputError for an unknown engine, or more threads than this process has CPUs."""
        for name in self.engines:
            if name not in ENGINES:
                raise InputError(f"unknown engine '{name}': choose from {', '.join(ENGINES)}")
        require_cpus(self.threads)


def require_cpus(threads: int) -> None:
    """Raise InputError for more threads than this process has CPUs."""
    if threads > available_cpus():
        raise InputError(
            f"{threads} threads asked for, but this process may use {available_cpus()} CPUs: threads that "
            "take turns on a CPU measure nothing"
        )


@dataclass(frozen=True)
class Entrant:
    """An engine ready to run the network, and what its start cost.

    Attributes:
        session: to be run.
        prepare, first: seconds of preparing it and of the first inference.
        memory: bytes that this process grew by; None where another process runs it, or the system does not tell.
    """

    session: Session
    prepare: float
    first: float
    memory: int | None


@dataclass(frozen=True)
class Contest:
    """Engines that agree on what the network computes.

    Attributes:
        settings: how they are compared.
        network, x: what all of them run.
        entrants: by the name of the engine.
        errors: engine → largest relative difference of any output from those of the first; for one of fewer bits see
            ``rounded``.
        rounded: engine of fewer bits → how it follows float32.
    """

    settings: Settings
    network: Network
    x: FloatArray
    entrants: dict[str, Entrant]
    errors: dict[str, float]
    rounded: dict[str, Rounded]

    @property
    def sessions(self) -> dict[str, Session]:
        """Of every engine."""
        return {name: entrant.session for name, entrant in self.entrants.items()}

    @property
    def clock(self) -> Clock:
        """What all of them are timed by."""
        return session_clock(self.entrants, self.settings.threads)

    def take(
        self,
        progress: Callable[[int, int], object] = lambda *_: None,
        beside: Mapping[str, Callable[[], object]] | None = None,
    ) -> Rounds:
        """Warm up, then let all have a turn in every round.

        Args:
            progress: is told rounds done and rounds in all.
            beside: name → a call that takes part beside the engines.
        """
        settings, turns = self.settings, session_turns(self.sessions, self.clock)
        turns |= turns_of(beside or {}, self.clock)
        rounds = rounds_for(
            turns, settings.seconds, FEWEST_ROUNDS, MOST_ROUNDS, tries=1, warmup=settings.warmup
        )
        rounds, done = settings.rounds or rounds, 0

        def one_more(count: int) -> None:
            nonlocal done
            done += count
            progress(done, rounds)

        return take_rounds(turns, rounds, self.clock, seed=settings.seed, progress=one_more)


@contextmanager
def contest(
    graph: Graph, settings: Settings, skipped: dict[str, str], what: str, file: Path | None = None
) -> Iterator[Contest]:
    """Every engine that is installed on ``graph``; all is closed at the end.

    Args:
        graph: of one input.
        settings: which engines, and how.
        skipped: gets engine → why it is not there.
        what: the network and its sparsity, for messages.
        file: the ONNX file that the graph was read from, for engines in int8 if it is quantized.

    Raises:
        SparsenetError: outputs differ, so that times mean nothing.
        InputError: no engine is left; unknown engines; too many threads.
    """
    settings.check()
    network, entrants = Network(graph, settings.batch, file), dict[str, Entrant]()
    try:
        x, outputs = network.example(settings.seed), dict[str, list[FloatArray]]()
        for name in settings.engines:
            try:
                entrants[name], outputs[name] = _start(name, network, x, settings.threads)
            except EngineMissing as missing:
                skipped[name] = str(missing)
        if not entrants:
            raise InputError(f"no engine is left to time: {'; '.join(skipped.values())}")
        exact = {name: ys for name, ys in outputs.items() if ENGINES[name].precision == "f32"}
        errors = check_outputs(exact, what) if exact else {}
        rounded = _check_rounded(entrants, next(iter(exact), None), network, settings, what)
        outputs.clear()
        errors |= {name: of.error for name, of in rounded.items()}
        yield Contest(settings, network, x, entrants, errors, rounded)
    finally:
        for entrant in entrants.values():
            entrant.session.close()
        network.close()


def _start(name: str, network: Network, x: FloatArray, threads: int) -> tuple[Entrant, list[FloatArray]]:
    """The engine and its first outputs."""
    before, since = _resident_bytes(), stopwatch()
    session = ENGINES[name].prepare(network, threads)
    ready = since()
    outputs = session(x)
    done, after = since(), _resident_bytes()
    memory = None
    if session.in_process and before is not None and after is not None:
        memory = max(after - before, 0)
    return Entrant(session, ready, done - ready, memory), outputs


def _check_rounded(
    entrants: dict[str, Entrant], exact: str | None, network: Network, settings: Settings, what: str
) -> dict[str, Rounded]:
    """Hold every engine of fewer bits against ``exact``, or, where no engine computes in float32, against ours."""
    names = [name for name in entrants if ENGINES[name].precision != "f32"]
    if not names:
        return {}
    # The example comes last: it is what will be timed.
    inputs = [network.example(settings.seed + i) for i in range(-(-CHECKED_IMAGES // settings.batch))][::-1]
    if exact is None:
        engine = Engine(network.graph, settings.threads)
        expected = [list(engine.run({network.graph.inputs[0].name: x}).values()) for x in inputs]
        engine.close()
    else:
        expected = _answers(entrants[exact].session, inputs)
    return {
        name: check_rounded(
            name, ENGINES[name].precision, _answers(entrants[name].session, inputs), expected, what
        )
        for name in names
    }


def _answers(session: Session, inputs: list[FloatArray]) -> list[list[FloatArray]]:
    """Copies: an engine may write into the same outputs again."""
    return [[y.copy() for y in session(x)] for x in inputs]


def _resident_bytes() -> int | None:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return None
