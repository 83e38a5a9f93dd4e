"""A fuzzing campaign: ``python -m tests.fuzz model --cases 200000 --findings folder``.

Every finding is made as small as its changes allow and written to the folder, the file and what it did; the summary
counts outcomes. ``--replay "CASE"`` runs one case in this very process, for a debugger.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import click

from tests.fuzz import campaign
from tests.fuzz.cases import KINDS, Case


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--cases", type=int, default=1000, help="files to try")
    parser.add_argument("--first", type=int, default=0, help="number of the first; others make other files")
    parser.add_argument("--timeout", type=float, default=60, help="seconds a file may take")
    parser.add_argument(
        "--findings", type=Path, default=Path("fuzz-findings"), help="folder for what is found"
    )
    parser.add_argument(
        "--run-every",
        type=int,
        default=1,
        help="plan and run one of so many networks that load, all by default",
    )
    parser.add_argument("--replay", help="one case, as the findings name it")
    arguments = parser.parse_args()
    if arguments.replay:
        click.echo(Case.parse(arguments.replay).check())
        return
    numbers = range(arguments.first, arguments.first + arguments.cases)
    with campaign.Worker(arguments.timeout, arguments.run_every) as worker:
        result = campaign.run((Case.numbered(arguments.kind, n) for n in numbers), worker, progress=2000)
    for outcome, count in result.outcomes.most_common():
        click.echo(f"{count:8d}  {outcome}")
    seen: set[str] = set()
    for case, what in result.findings:
        if campaign.signature(what) not in seen:
            seen.add(campaign.signature(what))
            _keep(campaign.minimise(case, what, arguments.timeout), what, arguments.findings)
    raise SystemExit(1 if result.findings else 0)


def _keep(case: Case, what: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() else "-" for c in campaign.signature(what))[:60]
    (folder / f"{name}.{case.kind}").write_bytes(case.data())
    (folder / f"{name}.txt").write_text(f"{case}\n{what}\n")


main()
