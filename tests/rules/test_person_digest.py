"""A person is recognised by any lasting identifier, under any secret of the installation, and by nothing else."""

from hashlib import sha256
from typing import Any

import pytest

from proxy.rules.identity.person import DIGEST, digests
from proxy.rules.identity.person_digest import UnknownPersonError, identifiers, person_digests_of
from proxy.rules.identity.reference import make

KEY, OLD = b"k" * 32, b"o" * 32
EM, PH, ID = (sha256(text).hexdigest() for text in (b"anna@example.com", b"16505551212", b"customer-7"))
FBP = "fb.1.1700000000000.1116446470"

# One event's user data, another's; whether they are about one person.
PAIRS: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"em": [EM]}, {"em": [EM]}, True),
    ({"em": [EM]}, {"em": [PH, EM], "ph": [ID]}, True),
    ({"em": [EM]}, {"em": [f"{EM}.AQIAAQ"]}, True),
    ({"ph": [PH]}, {"ph": [PH]}, True),
    ({"external_id": [ID]}, {"external_id": [EM, ID]}, True),
    ({"fbp": FBP}, {"fbp": FBP}, True),
    ({"fbp": FBP}, {"fbp": "fb.2.1700000000000.1116446470"}, True),
    ({"fbp": FBP}, {"fbp": f"{FBP}.AQ"}, True),
    ({"fbp": FBP}, {"fbp": "fb.1.1700000000000.1116446471"}, False),
    ({"fbp": FBP}, {"fbp": "fb.1.1700000000001.1116446470"}, False),
    ({"em": [EM]}, {"external_id": [EM]}, False),
    ({"em": [EM]}, {"em": [PH]}, False),
    ({"fbc": "fb.1.1.a"}, {"fbc": "fb.1.1.a"}, False),
    ({"client_ip_address": "93.184.216.34"}, {"client_ip_address": "93.184.216.34"}, False),
    ({"fn": [EM], "zp": [PH]}, {"fn": [EM], "zp": [PH]}, False),
    ({}, {}, False),
]


@pytest.mark.parametrize(("first", "second", "same"), PAIRS)
def test_who_is_the_same_person(first: dict[str, Any], second: dict[str, Any], *, same: bool) -> None:
    """Mail address, phone number, own ids and browser id identify a person; click id, address and name do not."""
    assert (set(digests(first, [KEY])) & set(digests(second, [KEY])) != set()) is same


def test_a_suppression_under_an_old_secret_still_fits() -> None:
    """A suppression under the old key matches an event, since events have digests under both keys."""
    assert set(digests({"em": [EM]}, [OLD])) <= set(digests({"em": [EM]}, [KEY, OLD]))


def test_digests_say_nothing_without_the_key() -> None:
    """Another key gives other digests; all have one size."""
    ours, under_old_key = (digests({"em": [EM], "fbp": FBP}, [key]) for key in (KEY, OLD))

    assert set(ours) & set(under_old_key) == set()
    assert {len(digest) for digest in ours + under_old_key} == {DIGEST}


# Key, value as an owner writes it, countries of the sites; the hashed text, None where the value identifies nobody.
WRITTEN: list[tuple[str, str, set[str], str | None]] = [
    ("em", " Anna@Example.COM ", {""}, "anna@example.com"),
    ("em", EM, {""}, "anna@example.com"),
    ("em", "anna", {"", "de"}, None),
    ("em", "", {""}, None),
    ("ph", "+1 (650) 555-1212", {""}, "16505551212"),
    ("ph", "0049 30 1234567", {"", "us"}, "49301234567"),
    ("ph", "030 1234567", {"", "de"}, "49301234567"),
    ("ph", "030 1234567", {""}, None),
    ("external_id", "Customer-7", {""}, "customer-7"),
    ("external_id", "null", {""}, None),
]


@pytest.mark.parametrize(("key", "value", "countries", "text"), WRITTEN)
def test_an_owner_writes_as_people_do(key: str, value: str, countries: set[str], text: str | None) -> None:
    """An owner's input is normalised as for Meta; an error names the key of an unusable value, not the value."""
    if text is None:
        with pytest.raises(ValueError, match=f"^{key}$"):
            identifiers({key: [value]}, countries)
    else:
        assert sha256(text.encode()).hexdigest() in identifiers({key: [value]}, countries)[key]


def test_one_useless_value_spoils_the_rest() -> None:
    """One unusable value refuses the whole erasure, so that no typing mistake goes unnoticed."""
    with pytest.raises(ValueError, match=r"^ph$"):
        identifiers({"em": ["anna@example.com"], "ph": ["12"]}, {""})


def test_the_owner_names_people_in_three_ways() -> None:
    """They may give hashed match keys, references that the opt-out page showed, under old keys too, or digests."""
    shown_reference, old_reference, digest = (bytes([number]) * 16 for number in range(3))
    person = {
        "em": [EM],
        "visitor": [make(shown_reference, KEY, 7), make(old_reference, OLD, 7)],
        "digest": [digest.hex()],
    }

    assert person_digests_of(person, [KEY, OLD]) == (
        *digests({"em": [EM]}, [KEY, OLD]),
        shown_reference,
        old_reference,
        digest,
    )


@pytest.mark.parametrize(
    "person",
    [
        {},
        {"em": []},
        {"em": ["planted"]},
        {"fbp": FBP},
        {"digest": ["planted"]},
        {"digest": ["AB" * 16]},
        {"digest": [7]},
        {"visitor": [make(b"d" * 16, OLD, 1)]},
        {"visitor": "planted"},
        {"em": [EM], "visitor": ["planted"]},
    ],
)
def test_nobody_is_named_by_what_we_did_not_make(person: dict[str, Any]) -> None:
    """One unusable value refuses the whole request, and the error repeats no value."""
    with pytest.raises(UnknownPersonError) as refused:
        person_digests_of(person, [KEY])

    assert "planted" not in str(refused.value)
