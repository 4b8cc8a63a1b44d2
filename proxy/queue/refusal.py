"""Why an event about a suppressed person is not sent."""

from collections.abc import Iterable

from proxy.model.event import DropReason
from proxy.model.suppression import SuppressionKind

REASONS = {
    SuppressionKind.OPT_OUT: DropReason.OPTED_OUT,
    SuppressionKind.WITHDRAWAL: DropReason.NO_CONSENT,
    SuppressionKind.ERASURE: DropReason.ERASED,
}
"""By what the person asked for."""


def refusal(found: Iterable[tuple[SuppressionKind, int]], happened: int) -> DropReason | None:
    """Return what speaks against what people did at a moment in milliseconds; an erasure does if that was before it.

    Args:
        found: Their suppressions, each with when it was made.
        happened: The moment.
    """
    for kind, at in found:
        if kind is not SuppressionKind.ERASURE or happened <= at:
            return REASONS[kind]
    return None
