"""Hosts are compared in one form, that of browsers."""

from pathlib import Path

import pytest
from publicsuffixlist import PSLFILE

from proxy.config.hosts import ascii_host
from proxy.config.load import parse
from proxy.config.problems import ConfigError
from proxy.config.schema import Site
from proxy.rules.request.sites import belongs, cookie_scope_between, host_of, registrable


def site(*domains: str) -> Site:
    pixel = {"id": "123", "access_token": "t"}
    raw = {"site": [{"name": "shop", "domains": list(domains), "pixel": [pixel]}]}
    return parse(raw, {}, base=Path()).settings.site[0]


# A name as its owner writes it; the name as browsers send it (WHATWG, URL: UTS #46, not transitional).
NAMES = [
    ("straße.de", "xn--strae-oqa.de"),
    ("Faß.example", "xn--fa-hia.example"),
    ("βόλος.com", "xn--nxasmm1c.com"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("BÜCHER.example.", "xn--bcher-kva.example"),
    ("xn--strae-oqa.de", "xn--strae-oqa.de"),
    ("shop。example", "shop.example"),
    ("a_b.example", "a_b.example"),
    ("www.straße.co.uk", "www.xn--strae-oqa.co.uk"),
]


@pytest.mark.parametrize(("written", "sent"), NAMES)
def test_a_configured_domain_is_the_host_that_browsers_send(written: str, sent: str) -> None:
    """Pages of a domain with ``ß`` belong to its site; once ``straße.de`` became ``strasse.de``, and they got 403."""
    shop = site(written)

    assert shop.domains == (sent,)
    assert belongs(shop, host_of(f"https://{sent}"))
    assert belongs(shop, host_of(f"https://www.{sent}:8443/p"))


def test_two_hosts_that_look_alike_stay_two() -> None:
    """``strasse.de`` is not taken for ``straße.de``."""
    assert not belongs(site("straße.de"), host_of("https://strasse.de"))
    assert not belongs(site("strasse.de"), host_of("https://xn--strae-oqa.de"))
    assert not cookie_scope_between("xn--strae-oqa.de", "strasse.de", secure=True).at_home


def test_the_registrable_domain_is_the_browsers_too() -> None:
    """Cookies are set on the domain in the form that browsers use."""
    assert registrable(host_of("https://www.straße.de")) == "xn--strae-oqa.de"
    assert (
        cookie_scope_between(host_of("t.straße.de"), host_of("https://www.straße.de/p"), secure=True).domain
        == "xn--strae-oqa.de"
    )


def test_no_public_suffix_is_written_differently() -> None:
    """The suffix list's package encodes names by the rules of 2003, which for no suffix differ from ours."""
    lines = Path(PSLFILE).read_text(encoding="utf-8").splitlines()
    suffixes = [line.strip().lstrip("!").removeprefix("*.") for line in lines if line and not line.startswith("//")]
    foreign = [suffix for suffix in suffixes if not suffix.isascii()]

    assert len(foreign) > 100
    assert [suffix for suffix in foreign if suffix.encode("idna").decode() != ascii_host(suffix)] == []


@pytest.mark.parametrize("name", ["é..example", "-é.example", "é é.example", "é" * 101, "a" * 254, "\ud800.example"])
def test_what_cannot_be_a_host_is_refused_by_name(name: str) -> None:
    """A domain that no browser could request is a mistake in the configuration."""
    with pytest.raises(ConfigError, match=r"site\[0\].domains\[0\]: .*; accepted: a list of host names"):
        site(name)
