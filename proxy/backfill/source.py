"""From the lines of a file to events: which kind of file it is, and how its columns are read."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple, Self

from proxy.backfill.claims import Claim, FileOptions, Line, NotSent, UnreadableFileError
from proxy.backfill.columns import kind_of, place_named, places, plain_name
from proxy.backfill.json_lines import json_claims
from proxy.backfill.rows import Reading, row_claims
from proxy.backfill.table import Table

_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_JSON, _TABLES = (".jsonl", ".ndjson", ".json"), (".csv", ".tsv", ".txt")


class Source(NamedTuple):
    """A file, about to be read."""

    kind: str
    claims: Iterator[Claim | NotSent]
    used: Mapping[str, str]
    """The place of each column that is read, by the name in the file."""
    unused: Sequence[str]
    """Columns that are not read: nothing is known of them, or the owner leaves them out."""

    @classmethod
    def of(cls, name: str, lines: Iterator[Line], encoding: str, wishes: FileOptions) -> Self:
        """Return a file as a source of events.

        Args:
            name: The name of the file; its ending says what the file holds.
            lines: All lines of the file.
            encoding: The encoding of its text; used only for tables.
            wishes: How the owner wants it to be read.

        Raises:
            UnreadableFileError: When the command cannot read such a file.
        """
        ending = PurePath(name).suffix.lower()
        if ending in _JSON:
            return cls("events in JSON", json_claims(_refuse_utf16(lines)), {}, ())
        if ending not in _TABLES:
            raise UnreadableFileError(f"files end in {', '.join(_JSON + _TABLES)}, so that it is clear what they hold")
        return cls._table(Table(_refuse_utf16(lines), encoding), wishes)

    @classmethod
    def _table(cls, table: Table, wishes: FileOptions) -> Self:
        names = list(map(plain_name, table.header))
        unknown = [column for column in wishes.columns if column not in names]
        if unknown:
            raise UnreadableFileError(f"--map: no column {', '.join(unknown)}; there are {', '.join(table.header)}")
        kind = kind_of(names)
        free = ["" if name in wishes.columns else name for name in names]
        found = places(free, kind)
        for column, place in wishes.columns.items():
            if place:
                found[place] = (names.index(column), *found.get(place, ()))
        if not found:
            raise UnreadableFileError("no column is known; the first line must name them, and --map can say more")
        used = {table.header[index]: place for place, indexes in found.items() for index in indexes}
        unused = [column for column in table.header if column and column not in used]
        reading = Reading(kind, found, wishes.constants, wishes.zone, wishes.decimal)
        return cls(kind.name, row_claims(table.rows(), reading), used, unused)


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """Return the place of each column, from texts such as ``Net total=value``; ``Notes=`` leaves a column out.

    Raises:
        ValueError: With the text that is not understood.
    """
    return {plain_name(column): place for column, place in map(_parse_column, texts)}


def parse_constants(texts: Sequence[str]) -> dict[str, str]:
    """Return the constant value of each place, from texts such as ``currency=EUR``.

    Raises:
        ValueError: With the text that is not understood.
    """
    pairs = [text.partition("=") for text in texts]
    named = {place_named(place.strip()): value.strip() for place, _, value in pairs if value.strip()}
    wrong = [
        text
        for text, (place, _, value) in zip(texts, pairs, strict=True)
        if not (place_named(place.strip()) and value.strip())
    ]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is not like currency=EUR or custom_data.colour=red")
    return {str(place): value for place, value in named.items()}


def _parse_column(text: str) -> tuple[str, str]:
    column, sign, wanted = text.rpartition("=")
    place = place_named(wanted.strip()) if wanted.strip() else ""
    if not (sign and column.strip()) or place is None:
        raise ValueError(f"{text!r} is not like 'Net total=value' or 'Colour=custom_data.colour'")
    return column, place


def _refuse_utf16(lines: Iterator[Line]) -> Iterator[Line]:
    for line in lines:
        if line.number == 1 and line.content.startswith(_UTF16_BOMS):
            raise UnreadableFileError("the text is UTF-16; save it as UTF-8")
        yield line
