"""The part of the tag that asks for consent: made of what the site names, and of nothing else."""

from pathlib import Path
from typing import Any, get_args

import brotli
import pytest

from proxy.config.schema import ConsentSource, Site
from proxy.edge.tag.consent_adapters import ask_of
from proxy.static_files import static_file

STATIC = Path(__file__).parents[2] / "static"
SOURCES = get_args(ConsentSource)
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


def test_each_source_has_an_adapter() -> None:
    """What the configuration accepts is what there are adapters for."""
    found = {path.name.removesuffix(".min.js") for path in STATIC.glob("consent/*.min.js")}

    assert found - {"ask"} == set(SOURCES)


def test_nobody_is_asked_unless_named() -> None:
    """A site that names no consent manager pays no byte for them."""
    assert ask_of(site(), static_file) == ""


@pytest.mark.parametrize("name", SOURCES)
def test_only_the_named_adapter_is_in_the_tag(name: str) -> None:
    """An adapter that is not chosen costs nothing."""
    adapters = {other: static_file(f"consent/{other}.min.js").decode().strip() for other in SOURCES}
    script = ask_of(site(name), static_file)

    assert [other for other, adapter in adapters.items() if adapter in script] == [name]


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
    """Each adapter is followed by the words the site gives it, as JSON."""
    assert ask_of(site(source, **cmp), static_file).endswith(expected)


def test_all_adapters_keep_their_budget() -> None:
    """Everything that can be chosen, chosen at once, stays within its part of the tag's budget."""
    assert len(brotli.compress(ask_of(site(*SOURCES), static_file).encode(), quality=11)) <= BUDGET
