"""Names and ids of events: they are a site's own words, stored and sent in plain text, so none may name a person.

A label (name or id) with contact data beyond doubt (an e-mail address, a telephone number with ``+``, an IBAN, a JWT;
as it stands, percent-encoded or in base64) is not replaced by a hash: the browser's Pixel sends its copy with the label
itself, so Meta would count the two copies twice. The event is dropped, and the label is not written to the ledger. Ids
of digits only are taken for orders' numbers, though they may be telephone numbers.
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
    """Return the hit with ``[redacted]`` for a name or an id that names a person, or exceeds the effort."""
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
    """Return the updates of browser copies whose names and ids may be stored."""
    return tuple(update for update in copy_updates if _may_be_stored(update, effort))


def _may_be_stored(update: BrowserCopyUpdate, effort: Effort) -> bool:
    if not may_hold_shapes(f"{update.name} {update.id}", is_id=True):
        return True
    return update.name == _public(update.name, effort) and update.id == _public(update.id, effort)


def _public(label: str, effort: Effort) -> str:
    return label if shape_of(label, effort, is_id=True) is None else REDACTED
