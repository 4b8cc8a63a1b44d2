"""Words of strangers on a terminal: escape sequences in them would be obeyed."""

import logging


def printable(text: str) -> str:
    r"""Return a text whose unprintable characters are written out as JSON has them, ``\u001b`` and the like.

    Besides the control characters these are marks that turn the direction of a line and other invisible ones, so a
    line of JSON stays the same document.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _written_out(c) for c in text)


def _written_out(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


class Lines(logging.Formatter):
    """Log lines in which what strangers sent cannot steer a terminal or begin a line of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name logging calls
        """Return the line of a message, without its traceback."""
        record.message = printable(record.message)
        return super().formatMessage(record)
