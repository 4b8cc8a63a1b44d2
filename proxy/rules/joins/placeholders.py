"""Placeholder ids, mail addresses and phone numbers that stand for no person, recognised by their hashes.

A shop gives them to customers without an account or an address; as clues they would join one guest with another. Raw
values were hashed before they come here.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import md5, sha256

from proxy.rules.request.sites import registrable

_IDS = """
    0 00 -1 (none) (notset) [object] [objectobject] anon anonymous client customer default empty false guest guestuser
    n/a na nan nil no none notset null test true undefined unknown user visitor
    00000000-0000-0000-0000-000000000000 00000000000000000000000000000000
"""
_SPELT_OTHERWISE = ("[object Object]", "NaN", "N/A", "(not set)", "not set", "guest user", "Guest User")
_MAILBOXES = """
    a abc admin anonymous billing contact customer customerservice do-not-reply donotreply email guest hello help info
    kasse mail me na name nobody no no-email no-reply no_reply noemail none noreply null office order orders pos sales
    service shop store support team test undefined unknown user web webmaster webshop
"""
_PLACEHOLDER_DOMAINS = (
    *("a.com", "abc.com", "email.com", "example.com", "example.net", "example.org", "guest.com", "invalid.com"),
    *("na.com", "no.com", "noemail.com", "none.com", "noreply.com", "nomail.com", "null.com", "test.com"),
)
_LONGEST_NUMBER = 15
"""Digits of a telephone number at most (ITU-T E.164)."""


def is_placeholder_id(digest: str) -> bool:
    """Tell whether an id, hashed or in the form of a hash, is a placeholder for customers without an account."""
    return digest in _placeholder_ids()


def is_placeholder_mail(digest: str, domains: tuple[str, ...]) -> bool:
    """Tell whether a hashed mail address is a mailbox on one of the site's ``domains``, or a made-up address.

    Addresses that a marketplace makes for each of its buyers are not placeholders.
    """
    return digest in _made_up_mail() or digest in _mail_of(domains)


def is_placeholder_phone(digest: str) -> bool:
    """Tell whether a hashed phone number is a placeholder, such as one digit repeated."""
    return digest in _placeholder_phones()


@lru_cache(maxsize=1)
def _placeholder_ids() -> frozenset[str]:
    words = {spelt for word in _IDS.split() for spelt in (word, word.upper(), word.title(), word.capitalize())}
    raw = words.union(_SPELT_OTHERWISE)
    # An id of 32 hex digits is sent as it is, so MD5 hashes of the words have to be in the set too.
    return frozenset(
        raw | set(map(_hash, raw)) | {md5(word.encode(), usedforsecurity=False).hexdigest() for word in raw}
    )


@lru_cache(maxsize=1024)  # more than anybody has sites
def _mail_of(domains: tuple[str, ...]) -> frozenset[str]:
    own = {host for domain in domains for host in (domain, domain.removeprefix("www."), registrable(domain)) if host}
    return _mail_at(own)


@lru_cache(maxsize=1)
def _made_up_mail() -> frozenset[str]:
    return _mail_at(_PLACEHOLDER_DOMAINS)


def _mail_at(hosts: Iterable[str]) -> frozenset[str]:
    boxes = _MAILBOXES.split()
    return frozenset(_hash(f"{box}@{host}") for host in hosts for box in boxes)


@lru_cache(maxsize=1)
def _placeholder_phones() -> frozenset[str]:
    repeated = {digit * length for digit in "0123456789" for length in range(1, _LONGEST_NUMBER + 1)}
    counted = {"1234567890123456"[:length] for length in range(3, _LONGEST_NUMBER + 1)}
    return frozenset(map(_hash, repeated | counted | {"0123456789", "10000000000", "1111111"}))


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
