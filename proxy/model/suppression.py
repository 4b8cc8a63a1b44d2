"""Whom nothing more is sent about, and why."""

from enum import StrEnum


class SuppressionKind(StrEnum):
    """Why nothing more is sent about somebody; the queue's file holds these words."""

    OPT_OUT = "opted_out"
    """The visitor's own word, on the opt-out page; only the visitor, or the owner, lifts it."""
    WITHDRAWAL = "withdrawn"
    """The page's word, ``consent: "revoked"``; its grant in the same browser lifts it."""
    ERASURE = "erased"
    """The owner's; it speaks against what happened before it."""
