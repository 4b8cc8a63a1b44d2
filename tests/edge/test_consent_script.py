"""The part of the tag that asks consent managers: it contains only what the site names."""

from typing import Any

import brotli
import pytest

from proxy.config.consent_managers import CONSENT_MANAGERS
from proxy.config.schema import Site
from proxy.edge.tag.consent_adapters import consent_script
from proxy.static_files import static_file

BUDGET = 1950


def site(*sources: str, **cmp: Any) -> Site:
    return Site.model_validate(
        {
            "name": "shop",
            "domains": ["shop.test"],
            "consent": "required",
            "consent_from": sources,
            "cmp": cmp,
            "pixel": [{"id": "1", "access_token": "t"}],
        },
        context={"resolve": str},
    )


def test_nobody_is_asked_unless_named() -> None:
    """A site that names no consent manager has not one byte for them in its tag."""
    assert consent_script(site(), static_file) == ""


@pytest.mark.parametrize("name", CONSENT_MANAGERS)
def test_only_the_named_adapter_is_in_the_tag(name: str) -> None:
    """Only the adapters that the site names are in its tag."""
    adapters = {row.name: static_file(row.adapter).decode().strip() for row in CONSENT_MANAGERS.values()}
    script = consent_script(site(name), static_file)

    assert [asked for asked, adapter in adapters.items() if adapter in script] == [name]


@pytest.mark.parametrize(
    ("source", "cmp", "expected"),
    [
        ("tcf", {"tcf_purposes": [1, 7], "tcf_vendor": 5, "tcf_provider": 6}, ",[[1,7],5,6]])"),
        ("klaro", {"klaro_service": 'a"\u2028b'}, ',"a\\"\u2028b"])'),
        ("iubenda", {}, ",5])"),
        ("cookiebot", {}, '"CookiebotOnDecline")])'),
    ],
)
def test_the_words_of_the_site_are_in_the_tag(source: str, cmp: dict[str, Any], expected: str) -> None:
    """Each adapter is followed by the site's settings for it, as JSON."""
    assert consent_script(site(source, **cmp), static_file).endswith(expected)


def test_all_adapters_keep_their_budget() -> None:
    """All adapters together stay within their part of the tag's budget."""
    assert len(brotli.compress(consent_script(site(*CONSENT_MANAGERS), static_file).encode(), quality=11)) <= BUDGET
