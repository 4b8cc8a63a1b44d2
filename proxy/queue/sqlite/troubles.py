"""What is wrong with the queue though it goes on: reported when it begins and when it is over, not in between."""

from collections.abc import Callable

from proxy.queue.contract import Trouble

# Codes of conditions.
QUEUE, HOUSEKEEPING, INCOMPLETE = "queue", "housekeeping", "ledger_incomplete"


class Troubles:
    """Used from the writer thread; ``tell`` hands a change to whoever shows it."""

    def __init__(self, tell: Callable[[Trouble], None]) -> None:
        self._tell = tell
        self._current: set[tuple[str, str]] = set()

    def begin(self, code: str, subject: str, detail: str) -> None:
        """Report that something is wrong; repeated while it lasts, only the first time is told.

        Args:
            code: Which condition.
            subject: Of what; empty where there is only one.
            detail: What an operator should know of it.
        """
        if (code, subject) not in self._current:
            self._current.add((code, subject))
            self._tell(Trouble(code, subject, detail, failing=code == QUEUE))

    def end(self, code: str, subject: str) -> None:
        """Report that it is over; told only if its beginning was."""
        if (code, subject) in self._current:
            self._current.discard((code, subject))
            self._tell(Trouble(code, subject, ""))
