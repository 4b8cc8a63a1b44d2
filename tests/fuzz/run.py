"""Sends many random requests to the collect endpoint: none may raise, cause a fault, get a 5xx or take too long.

No answer may take more than 5 ms of processor time, with all its parts between which other requests have their turn.
That is meant for a core of the machine of docs/benchmarks.md: an answer that seems to take longer is repeated, in turn
with a fixed piece of work that tells how fast the machine is now. Measure on an idle machine all the same.

The number of a request is its seed, so ``--from`` and ``--count`` repeat it. Findings are written to ``--found``; put
them among the seeds once they are fixed.
"""

import gc
from collections.abc import Iterator
from pathlib import Path

import click
from hard import BURSTS
from maker import Bytes, Chance
from target import Cost, Door, Finding, Request, burst, drawn, packed, unpacked

SEEDS = sorted((Path(__file__).parent / "seeds").glob("*.json"))
_MOST_FOUND = 500
_COLLECT_EVERY = 2000
_TELL_EVERY = 50_000


@click.command()
@click.option("--count", default=1_000_000, show_default=True, help="requests")
@click.option("--from", "first", default=0, show_default=True, help="number of the first one")
@click.option("--milliseconds", default=5.0, show_default=True, help="processor time of an answer, with all its parts")
@click.option("--choices", type=click.Path(path_type=Path), help="directory of guided.py, whose requests are sent too")
@click.option("--found", type=click.Path(path_type=Path), help="directory for what is found")
def main(*, count: int, first: int, milliseconds: float, choices: Path | None, found: Path | None) -> None:
    """Fuzz the browser's door; exit 1 if anything is found."""
    door = Door()
    findings: list[Finding] = []
    most, sent = Cost(milliseconds / 1000, milliseconds / 1000), 0
    gc.collect()
    gc.disable()
    for sent, request in enumerate(requests(choices, range(first, first + count)), 1):
        if wrong := door.wrong(request, most):
            findings.append(Finding(wrong, request))
            click.echo(f"request {sent}: {wrong}")
        if sent % _COLLECT_EVERY == 0:
            gc.collect()
        if sent % _TELL_EVERY == 0:
            click.echo(f"{sent} requests from {first}")
        if len(findings) >= _MOST_FOUND:
            break
    if found:
        found.mkdir(parents=True, exist_ok=True)
        for number, finding in enumerate(findings):
            (found / f"{first + number}.json").write_bytes(packed(finding.request))
    click.echo(f"{sent} requests from {first}: {len(findings)} findings")
    raise SystemExit(1 if findings else 0)


def requests(choices: Path | None, numbers: range) -> Iterator[Request]:
    """Yield the seeds, the bursts, the requests that guided.py found, and random requests."""
    yield from (unpacked(path.read_bytes()) for path in SEEDS)
    yield from map(burst, BURSTS)
    yield from (drawn(Bytes(path.read_bytes())) for path in (sorted(choices.iterdir()) if choices else ()))
    yield from (drawn(Chance(number)) for number in numbers)


if __name__ == "__main__":
    main()
