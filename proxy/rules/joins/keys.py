"""Clues by which a server's event finds the visitor of a page, and the join keys that are made of them.

A clue that many people share would find the wrong person, so placeholders are not used as clues.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

from proxy.model.join import JOIN_KEY, JoinKey, JoinKind
from proxy.rules import limits
from proxy.rules.effort import Effort
from proxy.rules.identity.person import browser_of
from proxy.rules.joins.placeholders import is_placeholder_id, is_placeholder_mail, is_placeholder_phone
from proxy.rules.match.text import is_nothing, trim
from proxy.rules.orders import is_order_id, received_order
from proxy.rules.payload.labels import REDACTED
from proxy.rules.payload.secret_shapes import shape_of
from proxy.rules.policy import Policy

Clue: TypeAlias = tuple[JoinKind, str]
"""A kind, and a value in plain text, which is never stored."""

_PIECE = r"(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,128}"
# "/checkouts/cn/TOKEN/thank-you", "/checkouts/TOKEN", "/12345/checkouts/TOKEN/thank_you".
_CHECKOUT = re.compile(rf"/checkouts/(?:[a-z]{{1,3}}/)?({_PIECE})(?=/|$)")
_is_token = re.compile(_PIECE).fullmatch


def join_keys(site: str, clues: Iterable[Clue], secrets: Sequence[bytes]) -> tuple[JoinKey, ...]:
    """Return the keys of clues, each once.

    Args:
        site: The name of the site: nothing is joined across sites.
        clues: The surest first.
        secrets: The secrets that the keys are made with: for a page's event the current one, for a server's event all.
    """
    found = [(kind, _digest(f"{site}\0{kind:d}\0{value}", secret)) for kind, value in clues for secret in secrets]
    return tuple(dict.fromkeys(found))


def _digest(text: str, secret: bytes) -> bytes:
    return blake2b(text.encode(errors="replace"), key=secret, digest_size=JOIN_KEY).digest()


class Claimed(NamedTuple):
    """What an event says of its order."""

    name: str
    """The event's name."""
    id: str
    """The event's id; empty if no page can know it."""
    data: Mapping[str, Any]
    """Its custom data."""
    url: str
    """The address of its page."""
    checkout: str = ""
    """The token of the checkout, where something else than the page's address names it."""


def order_clues(claimed: Claimed, policy: Policy, effort: Effort) -> Iterator[Clue]:
    """Yield the clues that name the order itself.

    Args:
        claimed: What the event says of its order.
        policy: What the configuration says of the site.
        effort: What is left of the budget.
    """
    if is_order_id(claimed.id) and claimed.id != REDACTED:  # that constant replaces many ids
        yield JoinKind.EVENT, f"{claimed.name}\0{claimed.id}"
    if order := _order_in(claimed.data, effort) or (received_order(claimed.url) if policy.reads_order_pages else ""):
        yield JoinKind.ORDER, order
    if token := claimed.checkout if _is_token(claimed.checkout) else _checkout_in(claimed.url):
        yield JoinKind.CHECKOUT, token


def _checkout_in(url: str) -> str:
    if "/checkouts/" not in url:
        return ""
    found = _CHECKOUT.search(url.partition("#")[0].partition("?")[0])
    return found[1] if found else ""


def _order_in(data: Mapping[str, Any], effort: Effort) -> str:
    """Return the order id in custom data as text; "" for an unfilled template variable, and for contact data."""
    claimed = data.get("order_id")
    is_number = isinstance(claimed, int) and not isinstance(claimed, bool)
    order = str(claimed) if is_number else trim(claimed) if isinstance(claimed, str) else ""
    if len(order) > limits.ID or not is_order_id(order) or is_nothing(order):
        return ""
    return order if shape_of(order, effort, is_id=True) is None else ""


def person_clues(user_data: Mapping[str, Any], domains: tuple[str, ...], number: str | None = None) -> Iterator[Clue]:
    """Yield the clues that name the person, the surest first.

    Args:
        user_data: Clean match keys.
        domains: The site's domains: mailboxes there such as ``info@`` are no person's.
        number: The hash of the visitor number among the ids; None if it is not known which id that is, so that each id
            counts both as the visitor number and as an account.
    """
    if fbp := user_data.get("fbp"):
        yield JoinKind.BROWSER, browser_of(fbp).decode()
    ids = [each for each in _hashes(user_data, "external_id") if not is_placeholder_id(each)]
    yield from ((JoinKind.NUMBER, each) for each in ids if number in (None, each))
    yield from ((JoinKind.ACCOUNT, each) for each in ids if each != number)
    yield from ((JoinKind.EMAIL, each) for each in _hashes(user_data, "em") if not is_placeholder_mail(each, domains))
    yield from ((JoinKind.PHONE, each) for each in _hashes(user_data, "ph") if not is_placeholder_phone(each))


def _hashes(user_data: Mapping[str, Any], name: str) -> list[str]:
    """Return the hashes of a match key, without what Meta's libraries append."""
    return [value.partition(".")[0].lower() for value in user_data.get(name, ())]
