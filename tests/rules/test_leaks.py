"""No planted secret leaves, and harmless texts pass."""

from collections import Counter
from collections.abc import Iterator
from random import Random
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leak_samples import ADDRESSES, ENCODINGS, HARMLESS, MISTAKEN, SECRETS, TEXTS, secrets
from support import clean_url

from proxy.config.schema import Site
from proxy.rules.effort import Effort
from proxy.rules.payload.names import allowed_by
from proxy.rules.payload.redact import clean_data
from proxy.rules.payload.shape_patterns import Shape

_DEFAULTS = Site.model_fields
LIMITS = allowed_by(_DEFAULTS["keep_url_params"].default | {"sku"}, _DEFAULTS["block_keys"].default)


def leaks_in_address(place: str, encoding: str, secret: str) -> bool:
    planted = ENCODINGS[encoding](secret)
    clean, removed = clean_url(ADDRESSES[place](planted), LIMITS, Effort())
    return not removed or any(form in text for form in (planted, secret) for text in (clean, unquote(unquote(clean))))


def leaks_in_text(place: str, encoding: str, secret: str) -> bool:
    planted = secret if encoding == "as browsers do" else ENCODINGS[encoding](secret)
    clean, removed, _ = clean_data(TEXTS[place](planted), LIMITS, Effort())
    return not removed or any(form in unquote(unquote(str(clean))) for form in (planted, secret))


def corpus() -> Iterator[tuple[bool, str, str, str]]:
    """Yield for each planted secret whether it leaked, its place, its encoding and the secret itself."""
    chance = Random(20)  # noqa: S311 - the same corpus each time
    for make in SECRETS.values():
        for encoding in ENCODINGS:
            for place in ADDRESSES:
                secret = make(chance)
                yield leaks_in_address(place, encoding, secret), place, encoding, secret
            for place in TEXTS:
                secret = make(chance)
                yield leaks_in_text(place, encoding, secret), place, encoding, secret


def test_nothing_of_the_corpus_leaks(capsys: pytest.CaptureFixture[str]) -> None:
    """No shape of secret leaks in any encoding and place."""
    cases = list(corpus())
    leaked = [case for case in cases if case[0]]

    with capsys.disabled():
        print(f"\nplanted: {len(cases)}, leaked: {len(leaked)}")  # noqa: T201 - the figures are the result
    assert len(cases) >= 300
    assert leaked == []


@given(secrets(), st.sampled_from(sorted(ADDRESSES)), st.sampled_from(sorted(ENCODINGS)))
@settings(deadline=None, derandomize=True, max_examples=400)
def test_no_address_leaks(secret: tuple[Shape, str], place: str, encoding: str) -> None:
    """Newly drawn secrets leave in no part of an address."""
    assert not leaks_in_address(place, encoding, secret[1])


@given(secrets(), st.sampled_from(sorted(TEXTS)), st.sampled_from(sorted(ENCODINGS)))
@settings(deadline=None, derandomize=True, max_examples=400)
def test_no_custom_data_leaks(secret: tuple[Shape, str], place: str, encoding: str) -> None:
    """Newly drawn secrets leave in no text of custom data, however deep, and in no member's name."""
    assert not leaks_in_text(place, encoding, secret[1])


def test_the_harmless_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """At least 95 of 100 ordinary addresses and product names pass unchanged, counting the known mistakes."""
    everything = [*HARMLESS, *MISTAKEN]
    changed = [
        text for text in everything if clean_url(f"https://shop.example{text}", LIMITS, Effort()).url[20:] != text
    ]

    with capsys.disabled():
        share = 1 - len(changed) / len(everything)
        print(f"\nharmless: {len(everything)}, untouched: {share:.1%}, changed: {' '.join(changed)}")  # noqa: T201 - as above
    assert len(everything) >= 150
    assert share >= 0.95
    assert Counter(HARMLESS).most_common(1)[0][1] == 1


def test_the_harmless_stays_in_custom_data() -> None:
    """At most 5 of 100 of the same texts are changed in custom data."""
    texts = [text.strip("/").partition("=")[2] or text.strip("/") for text in HARMLESS]
    changed = [text for text in texts if clean_data({"content_name": text}, LIMITS, Effort()).removed]

    assert len(changed) <= 0.05 * len(texts), changed
