"""Why an event about a suppressed person is not sent."""

from collections.abc import Iterable

from proxy.model.event import DropReason
from proxy.model.suppression import SuppressionKind

REASONS = {
    SuppressionKind.OPT_OUT: DropReason.OPTED_OUT,
    SuppressionKind.WITHDRAWAL: DropReason.NO_CONSENT,
    SuppressionKind.ERASURE: DropReason.ERASED,
}
"""The reason for dropping an event, by the kind of suppression."""


def refusal(found: Iterable[tuple[SuppressionKind, int]], happened: int) -> DropReason | None:
    """Return why an event of suppressed people must not be sent, or None; an erasure covers only what came before it.

    Args:
        found: The people's suppressions, each with when it was made, in milliseconds.
        happened: When the event happened, in milliseconds.
    """
    for kind, at in found:
        if kind is not SuppressionKind.ERASURE or happened <= at:
            return REASONS[kind]
    return None
