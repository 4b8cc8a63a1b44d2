"""A file of comma- or semicolon-separated values, read row by row: its encoding, its delimiter, its header."""

import csv
import re
from collections.abc import Iterator
from typing import NamedTuple

from proxy.backfill.claims import Line, NotSent, UnreadableFileError
from proxy.backfill.values import cell_text

_DELIMITERS = ",;\t|"
_UNCLOSED_QUOTE = "a quote is opened and never closed"
_SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)


class Row(NamedTuple):
    """A row of a table, which may extend over several lines of the file."""

    line: int
    end: int
    cells: list[str]


class _Lines:
    """Gives the lines of a file to ``csv`` as text, and remembers how far it has read."""

    def __init__(self, lines: Iterator[Line], encoding: str) -> None:
        self._lines = lines
        self._encoding = encoding
        self.number = 0
        self.end = 0
        self.is_over = False

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            self.number, self.end = line.number, line.end
            text = line.content.decode(self._encoding, errors="replace")
            yield text.removeprefix("\ufeff") + "\n" if line.number == 1 else text + "\n"
        self.is_over = True


class Table:
    """The rows of a file.

    Args:
        lines: All lines of the file.
        encoding: The encoding of its text.

    Raises:
        UnreadableFileError: When it has no header.
    """

    def __init__(self, lines: Iterator[Line], encoding: str) -> None:
        self._lines = _Lines(lines, encoding)
        texts = iter(self._lines)
        head = next((text for text in texts if text.strip()), "")
        separator = _SEPARATOR.fullmatch(head.strip())
        if separator:
            head = next((text for text in texts if text.strip()), "")
        self.delimiter = separator[1] if separator else _delimiter(head)
        self._rows = csv.reader(_prepend(head, texts), delimiter=self.delimiter)
        self.header = [cell.strip() for cell in self._next(1) or []]
        if not any(self.header):
            raise UnreadableFileError("the file is empty: the first line of a CSV file names its columns")

    def rows(self) -> Iterator[Row | NotSent]:
        """Yield the rows without the blank ones.

        Raises:
            UnreadableFileError: When a quote is opened and never closed.
        """
        begin = self._lines.number + 1
        while (cells := self._next(begin)) is not None:
            if any(cell.strip() for cell in cells):
                yield self._row(begin, cells)
            begin = self._lines.number + 1

    def _next(self, begin: int) -> list[str] | None:
        try:
            cells = next(self._rows, None)
        except csv.Error as error:
            raise _unreadable(
                begin, _UNCLOSED_QUOTE if "limit" in str(error) else "a line end of another kind"
            ) from None
        # A row reaches the end of the file only inside an open quote; csv would return all lines up to there as a cell.
        if cells and self._lines.is_over:
            raise _unreadable(begin, _UNCLOSED_QUOTE)
        return cells

    def _row(self, line: int, cells: list[str]) -> Row | NotSent:
        if any(cell.strip() for cell in cells[len(self.header) :]):
            why = (
                f"{len(cells)} cells where the header names {len(self.header)}; is a {self.delimiter!r} not in quotes?"
            )
            return NotSent(line, self._lines.end, why)
        padded = [*cells[: len(self.header)], *[""] * (len(self.header) - len(cells))]
        return Row(line, self._lines.end, list(map(cell_text, padded)))


def _unreadable(line: int, why: str) -> UnreadableFileError:
    return UnreadableFileError(f"line {line}: {why}; save the file as CSV in UTF-8")


def _prepend(head: str, texts: Iterator[str]) -> Iterator[str]:
    yield head
    yield from texts


def _delimiter(head: str) -> str:
    unquoted = re.sub(r'"[^"]*"', "", head)
    return max(_DELIMITERS, key=unquoted.count)
