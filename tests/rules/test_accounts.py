"""IBANs of every country in SWIFT's registry are recognised; a maintained package holds the registry."""

from random import Random

import pytest
from leak_samples import ACCOUNTS, iban, iban_of
from stdnum import iban as package

from proxy.rules.effort import Effort
from proxy.rules.payload.secret_shapes import shape_of
from proxy.rules.payload.shape_patterns import Shape

# Countries that joined the registry after the table of the first version was written.
LATER = "BI BY CR DJ FK HN MN NI OM RU SD SO SV VA YE".split()  # noqa: SIM905 - as many quotes would hide the words


@pytest.mark.parametrize("country", sorted(ACCOUNTS))
def test_an_account_of_each_country_is_found(country: str) -> None:
    """An account number is recognised whatever its country and notation, with other text around it too."""
    chance = Random(country)  # noqa: S311 - the same accounts each time
    for _ in range(5):
        plain = iban_of(country, chance)
        assert package.is_valid(plain, check_country=False)
        grouped = " ".join(plain[start : start + 4] for start in range(0, len(plain), 4))
        for text in (plain, plain.lower(), grouped, grouped.replace(" ", "-"), f"pay {grouped} now", f"_{plain}."):
            for is_id in (False, True):
                assert shape_of(text, Effort(), is_id=is_id) is Shape.IBAN, text


def test_the_registry_has_grown() -> None:
    """The package has the countries that our own first table lacked, and at least 89 in all."""
    assert set(LATER) <= set(ACCOUNTS)
    assert len(ACCOUNTS) >= 89


def test_wrong_check_digits_are_no_account() -> None:
    """A number with wrong check digits, or under a country code that does not exist, is taken for no account."""
    chance = Random(3)  # noqa: S311 - as above
    right = [iban(chance).upper().replace(" ", "").replace("-", "") for _ in range(300)]
    wrong = [f"{account[:2]}{(int(account[2:4]) + 1) % 97 + 2:02}{account[4:]}" for account in right]

    assert [account for account in wrong if shape_of(account, Effort(), is_id=True)] == []
    assert [account for account in right if shape_of("ZZ" + account[2:], Effort(), is_id=True)] == []
