"""Rules use tables that exist before the first request, so that no request opens a file or imports a module."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import phonenumbers
import pycountry
import pytest
from phonenumbers import PhoneNumberFormat
from received import Received, ingest
from support import raw_config

from proxy.app import run_proxy
from proxy.config import load
from proxy.edge.collect import tag_answer
from proxy.rules import tables
from proxy.rules.identity.visitor_cookie import VisitorCookieKeys
from proxy.rules.match import location, phone_plans
from proxy.rules.match.keys import match_keys
from proxy.rules.policy import Policy

NOW = 1_764_000_000_000
_READS = {"open", "import", "os.listdir", "os.scandir"}


def policy() -> Policy:
    pixel = {"id": "123", "access_token": "t"}
    raw = {
        "site": [{"name": "shop", "domains": ["shop.example", "straße.de"], "pixel": [pixel], "remember_match": True}]
    }
    site = load.parse(raw, {}, base=Path()).settings.site[0]
    return Policy(site, VisitorCookieKeys("s" * 32), person_keys=(b"k" * 16,))


def request(number: int, match: dict[str, object], data: dict[str, object]) -> Received:
    hit = {"name": "Purchase", "id": f"id-{number}", "at": NOW, "pixels": ["123"], "data": {"value": 1} | data}
    wire = {"v": 1, "sent": NOW, "url": "https://www.straße.de/p", "match": {"123": match}, "events": [hit]}
    return Received(
        now=NOW,
        entropy=number,
        peer="93.184.216.34",
        host="t.straße.de",
        origin="https://www.xn--strae-oqa.de",
        user_agent=f"Mozilla/5.0 (Linux; Android 14; Model {number}) Chrome/140.0.0.0 Mobile [FBAV/{number}]",
        forwarded='for="[2001:db8::1]";proto=https',
        body=orjson.dumps(wire),
    )


def examples() -> dict[str, phonenumbers.PhoneNumber]:
    """Return an example number of each region."""
    found = {region: phonenumbers.example_number(region) for region in sorted(phonenumbers.SUPPORTED_REGIONS)}
    return {region: number for region, number in found.items() if number}


def person_digests() -> Iterator[dict[str, object]]:
    """Yield match keys of all countries and regions, and values that nothing can be made of."""
    for country in pycountry.countries:
        yield {"country": country.name, "ct": "Ñuñoa", "st": country.name, "zp": "12345-6789", "db": "3. März 1980"}
    for region, number in examples().items():
        for form in (PhoneNumberFormat.E164, PhoneNumberFormat.NATIONAL, PhoneNumberFormat.RFC3966):
            yield {"ph": phonenumbers.format_number(number, form), "country": region}
    for odd in (
        "\ufdfa" * 90,
        "." * 500,
        "1 Jan 1980 EST",
        "0" * 60,
        "Ivory Coast",
        "Österreich",
        "\U0001f1e9\U0001f1ea",
    ):
        yield dict.fromkeys(("em", "ph", "fn", "db", "ge", "ct", "st", "zp", "country", "external_id"), odd)


def custom_data() -> Iterator[dict[str, object]]:
    """Yield data with each currency, and with a text of each shape of secret."""
    for currency in pycountry.currencies:
        yield {"currency": currency.alpha_3}
    for text in (
        "DE89370400440532013000",
        "SD8811123456789012",
        "0049 30 1234567",
        "52.520008,13.404954",
        "%40",
        "é",
    ):
        yield {"content_name": text, text: [text], "page": f"https://bücher.example/{text}?utm_source={text}"}


def survey() -> None:
    """Print what the rules open or import once the tables exist."""
    own, whole = policy(), [*((part, {}) for part in person_digests()), *(({}, part) for part in custom_data())]
    requests = [request(number, match, data) for number, (match, data) in enumerate(whole)]
    tables.prepare()
    opened: set[str] = set()
    sys.addaudithook(lambda event, args: opened.add(f"{event} {args[0]}") if event in _READS else None)
    statuses = {tag_answer(ingest(body, own)).status for body in requests}
    print(sorted(opened), statuses)  # noqa: T201 - the answer to the test


@pytest.mark.long
def test_no_rule_opens_a_file() -> None:
    """Countries' names, regions' numbers and new user agents are judged without opening a file or importing."""
    found = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True, env=_environment())

    assert found.stdout.strip() == "[] {204}"


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": f"{Path(__file__).parents[2]}:{Path(__file__).parents[1]}", "PYTHONDONTWRITEBYTECODE": "1"}


def test_no_number_compiles_a_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    """The patterns of all regions are compiled in advance; ``re`` alone would not keep so many."""
    phone_plans.prepare()
    numbers = {
        region: phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
        for region, number in examples().items()
    }
    compiled: list[object] = []
    original = re._compiler.compile  # type: ignore[attr-defined]  # what ``re`` calls for patterns it forgot

    def counted(pattern: object, flags: int) -> object:
        compiled.append(pattern)
        return original(pattern, flags)

    monkeypatch.setattr("re._compiler.compile", counted)
    for region, number in numbers.items():
        assert match_keys({"ph": number}).hashed, number
        match_keys({"ph": number.partition(" ")[2]}, country=region)

    assert compiled == []


def test_a_possible_number_is_what_the_library_says() -> None:
    """The table of lengths accepts every number that the library calls possible, and less than 2 % too many."""
    codes = [str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE]
    numbers = [f"{code}{('6' * length)}" for code in codes for length in range(4, 14)]
    numbers += [
        f"{code}{start}{'7' * length}" for code in codes for start in (1, 23, 50, 91) for length in range(3, 12)
    ]

    assert [number for number in numbers if _is_possible(number) and not phone_plans.is_possible(number)] == []
    assert sum(phone_plans.is_possible(number) and not _is_possible(number) for number in numbers) < 0.02 * len(numbers)


def _is_possible(digits: str) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse("+" + digits))
    except phonenumbers.NumberParseException:
        return False


def test_states_and_countries_are_known_from_the_start() -> None:
    """After ``prepare``, countries and states are looked up in several languages and in English, respectively."""
    tables.prepare()

    assert location.country("Deutschland") == location.country("Germany") == "de"
    assert location.state("Kalifornia", "us") is None
    assert location.state("California", "us") == "ca"


async def test_the_tables_stand_before_the_first_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy builds them before it listens; if that fails, it does not listen at all."""
    built: list[str] = []
    monkeypatch.setattr(tables, "prepare", lambda: built.append("built"))
    loaded = load.parse(raw_config("http://127.0.0.1:1", tmp_path), {}, base=tmp_path)
    async with run_proxy(loaded):
        assert built == ["built"]

    monkeypatch.setattr(tables, "prepare", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        async with run_proxy(loaded):
            pytest.fail("it listens")


if __name__ == "__main__":
    survey()
