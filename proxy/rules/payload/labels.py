"""Names and ids of events are a site's own words: they rest and leave in the clear, so none may name a person.

What is contact data beyond doubt (an e-mail address, a telephone number with ``+``, an IBAN, a JWT; as it stands,
percent-encoded or in base64) is not replaced by a hash, for the browser's Pixel sends its copy with the word itself,
and the two would be counted twice. The event is dropped, and what was found stands in no ledger. Ids of mere digits
are orders' numbers, whatever telephone number they may be.
"""

from collections.abc import Iterable
from typing import TypeVar

from msgspec.structs import replace

from proxy.model.ledger import BrowserCopyUpdate
from proxy.model.request import Hit
from proxy.model.server_request import ServerHit
from proxy.rules.effort import Effort
from proxy.rules.payload.secret_shapes import may_hold_shapes, shape_of

AnyHit = TypeVar("AnyHit", Hit, ServerHit)

REDACTED = "[redacted]"


def without_contact_data(hit: AnyHit, effort: Effort) -> AnyHit:
    """Return the hit; a name or an id that names a person, or cannot be read any more, is ``[redacted]``."""
    if not may_hold_shapes(f"{hit.name} {hit.id}", is_id=True):
        return hit
    return replace(hit, name=_public(hit.name, effort), id=_public(hit.id, effort))


def public_id(claimed: str) -> str:
    """Return the id that a refused event claims, ``[redacted]`` where it names a person."""
    return _public(claimed, Effort()) if may_hold_shapes(claimed, is_id=True) else claimed


def findings(hit: Hit | ServerHit) -> tuple[str, ...]:
    """Return which of name and id were redacted."""
    words = {"event_name:unusable": hit.name, "event_id:unusable": hit.id}
    return tuple(finding for finding, label in words.items() if label == REDACTED)


def public_updates(copy_updates: Iterable[BrowserCopyUpdate], effort: Effort) -> tuple[BrowserCopyUpdate, ...]:
    """Return the updates of browser copies whose names and ids may rest."""
    return tuple(update for update in copy_updates if _may_rest(update, effort))


def _may_rest(update: BrowserCopyUpdate, effort: Effort) -> bool:
    if not may_hold_shapes(f"{update.name} {update.id}", is_id=True):
        return True
    return update.name == _public(update.name, effort) and update.id == _public(update.id, effort)


def _public(label: str, effort: Effort) -> str:
    return label if shape_of(label, effort, is_id=True) is None else REDACTED
