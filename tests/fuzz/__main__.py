"""A fuzzing campaign: ``python -m tests.fuzz model --cases 200000 --findings folder``.

Every finding is made as small as its changes allow and written to the folder, the file and what it did; the summary
counts outcomes. ``--replay "CASE"`` runs one case in this very process, for a debugger.
"""

from __future__ import annotations

import argparse
import time
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
    parser.add_argument("--replay", help="one case, as the findings name it")
    arguments = parser.parse_args()
    if arguments.replay:
        click.echo(Case.parse(arguments.replay).check())
        return
    seen: set[str] = set()
    totals, start, step = campaign.Result(), time.monotonic(), 10_000
    for first in range(arguments.first, arguments.first + arguments.cases, step):
        last = min(first + step, arguments.first + arguments.cases)
        result = campaign.run(
            (Case.numbered(arguments.kind, n) for n in range(first, last)), arguments.timeout
        )
        totals.outcomes.update(result.outcomes)
        totals.findings += result.findings
        for case, what in result.findings:
            if campaign.signature(what) not in seen:
                seen.add(campaign.signature(what))
                _keep(campaign.minimise(case, what, arguments.timeout), what, arguments.findings)
        rate = totals.cases / (time.monotonic() - start)
        click.echo(f"{totals.cases} files, {rate:.0f}/s, {len(totals.findings)} findings")
    for outcome, count in totals.outcomes.most_common():
        click.echo(f"{count:8d}  {outcome}")
    raise SystemExit(1 if totals.findings else 0)


def _keep(case: Case, what: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() else "-" for c in campaign.signature(what))[:60]
    (folder / f"{name}.{case.kind}").write_bytes(case.data())
    (folder / f"{name}.txt").write_text(f"{case}\n{what}\n")
    click.echo(f"finding: {what}\n  {case}")


main()
