"""Suppressions: why nothing more is sent about a person."""

from enum import StrEnum


class SuppressionKind(StrEnum):
    """Why nothing more is sent about a person; the queue stores these words."""

    OPT_OUT = "opted_out"
    """The visitor opted out on the opt-out page; only the visitor or the owner lifts it."""
    WITHDRAWAL = "withdrawn"
    """The page said ``consent: "revoked"``; a grant by a page in the same browser lifts it."""
    ERASURE = "erased"
    """The owner erased the person; it covers only what happened before it."""

    @classmethod
    def stored(cls, word: str) -> "SuppressionKind":
        """Return the kind that a stored word stands for.

        A word that only a newer version knows counts as an opt-out, the kind that covers everything: during a rolling
        upgrade, or after a way back, that version's suppressions bind here too.
        """
        return cls(word) if word in _KINDS else cls.OPT_OUT


_KINDS = frozenset(SuppressionKind)
