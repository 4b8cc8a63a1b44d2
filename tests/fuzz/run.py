"""Send many made-up requests through the browser's door: no exception, no fault, no 5xx, none over 5 ms.

Each number of a request is its seed, so ``--from`` and ``--count`` repeat it. What is found is written to ``--found``;
put it among the seeds once it is mended.
"""

import gc
from collections.abc import Iterator
from pathlib import Path

import click
from maker import Bytes, Chance
from target import Door, Finding, Request, drawn, packed, unpacked

SEEDS = sorted((Path(__file__).parent / "seeds").glob("*.json"))
_MOST_FOUND = 500
_COLLECT_EVERY = 2000
_TELL_EVERY = 50_000


@click.command()
@click.option("--count", default=1_000_000, show_default=True, help="requests")
@click.option("--from", "first", default=0, show_default=True, help="number of the first one")
@click.option("--milliseconds", default=5.0, show_default=True, help="processor time at a stretch")
@click.option("--choices", type=click.Path(path_type=Path), help="directory of guided.py, whose requests are sent too")
@click.option("--found", type=click.Path(path_type=Path), help="directory for what is found")
def main(count: int, first: int, milliseconds: float, choices: Path | None, found: Path | None) -> None:
    """Fuzz the browser's door; exit 1 if anything is found."""
    door = Door()
    findings: list[Finding] = []
    sent = 0
    gc.collect()
    gc.disable()
    for sent, request in enumerate(requests(choices, range(first, first + count)), 1):
        if wrong := door.wrong(request, milliseconds / 1000):
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
    """Yield the seeds, what guided.py found, and made-up requests."""
    yield from (unpacked(path.read_bytes()) for path in SEEDS)
    yield from (drawn(Bytes(path.read_bytes())) for path in (sorted(choices.iterdir()) if choices else ()))
    yield from (drawn(Chance(number)) for number in numbers)


if __name__ == "__main__":
    main()
