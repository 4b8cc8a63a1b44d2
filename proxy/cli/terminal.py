"""Makes text from strangers safe to print: a terminal would obey escape sequences in it."""

import logging


def printable(text: str) -> str:
    r"""Return a text whose unprintable characters are written out as JSON has them, ``\u001b`` and the like.

    Besides control characters these are invisible ones, such as marks that turn the direction of a line. A line of
    JSON stays the same document.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _json_escape(c) for c in text)


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


class PrintableFormatter(logging.Formatter):
    """Formats log lines so that text from strangers can neither control a terminal nor begin a line of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name logging calls
        """Return the line of a message, without its traceback."""
        record.message = printable(record.message)
        return super().formatMessage(record)
