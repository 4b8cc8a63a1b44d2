"""The doctor's findings about names."""

from collections.abc import Sequence

import pytest
from name_server import Zone, name_server

from proxy.doctor.web import network_access
from proxy.doctor.web.names import name_findings, proxy_name_findings, www_findings
from proxy.doctor.web.network_access import NameFacts, NetworkAccess

NEAR, FAR = "93.184.216.34", "151.101.1.140"
NEAR6, FAR6 = "2606:2800:220:1::7", "2606:2800:220:2::7"


def facts(name: str, *addresses: str, aliases: Sequence[str] = ()) -> NameFacts:
    return NameFacts(name, addresses, aliases)


OF_NAME = {
    "name_unseen": NameFacts("t.shop.example", unanswered="no name server answered in time"),
    "name_missing": facts("t.shop.example"),
    "name_private": facts("t.shop.example", "10.1.2.3", NEAR6),
    "cname_out": facts("t.shop.example", NEAR, NEAR6, aliases=["shop.host.example.net"]),
    "ipv6_missing": facts("t.shop.example", NEAR),
}
SOUND = [
    facts("t.shop.example", NEAR, NEAR6),
    facts("t.shop.example", NEAR, NEAR6, aliases=["web.shop.example"]),
]


@pytest.mark.parametrize(("code", "name"), OF_NAME.items(), ids=OF_NAME)
def test_each_fault_of_a_name_is_found(code: str, name: NameFacts) -> None:
    """A name with one fault causes the finding for it and no other."""
    assert [finding.code for finding in name_findings(name)] == [code]


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_name_is_passed_over(name: NameFacts) -> None:
    """Names with addresses of both kinds, also by a CNAME within the site, cause no finding."""
    assert list(name_findings(name)) == []


def test_the_records_to_paste_have_the_addresses() -> None:
    """For a CNAME that leads out of the site, the lines to paste are address records of its current target."""
    (finding,) = name_findings(OF_NAME["cname_out"])

    assert finding.paste.splitlines() == [
        f"t.shop.example. 300 IN A {NEAR}",
        f"t.shop.example. 300 IN AAAA {NEAR6}",
    ]


@pytest.mark.parametrize(
    ("page", "proxy", "codes"),
    [
        ([NEAR, NEAR6], [NEAR, NEAR6], []),
        ([NEAR], ["93.184.9.9"], []),
        ([NEAR], ["93.185.216.34"], ["address_far"]),
        ([NEAR6], ["2606:2800:220:1:ffff::1"], []),
        ([NEAR6], [FAR6], ["address_far"]),
        ([NEAR, NEAR6], [NEAR], ["ipv6_of_proxy_missing"]),
        ([NEAR], [NEAR, NEAR6], ["address_far"]),
        ([NEAR, NEAR6], [FAR], ["address_far", "ipv6_of_proxy_missing"]),
        ([], [FAR], []),
    ],
)
def test_a_proxy_is_near_its_site_by_half_an_address(page: list[str], proxy: list[str], codes: list[str]) -> None:
    """A proxy is near its site if, as Safari compares, IPv4 addresses share a /16 and IPv6 addresses a /64.

    Every address of the proxy must be near; a path on the site is always near.
    """
    of_proxy = facts("t.shop.example", *proxy)

    assert [finding.code for finding in proxy_name_findings(facts("shop.example", *page), of_proxy)] == codes
    assert list(proxy_name_findings(of_proxy, of_proxy)) == []


@pytest.mark.parametrize(("www", "codes"), [([NEAR], []), ([], []), ([FAR], ["www_elsewhere"])])
def test_a_www_name_elsewhere_is_told(www: list[str], codes: list[str]) -> None:
    """If the domain and its www name lead to different servers, the finding says that both need the rule."""
    found = www_findings(facts("shop.example", NEAR), facts("www.shop.example", *www))

    assert [finding.code for finding in found] == codes


ZONE: Zone = {
    "shop.example": [f"A {NEAR}", f"AAAA {NEAR6}"],
    "t.shop.example": ["CNAME shop.host.example.net."],
    "shop.host.example.net": ["CNAME edge.host.example.net."],
    "edge.host.example.net": [f"A {FAR}"],
    "empty.shop.example": ["TXT nothing"],
}


async def test_name_servers_are_asked_for_addresses_and_aliases() -> None:
    """Addresses of both kinds and each name of a CNAME chain are looked up; a name that does not exist has none."""
    async with name_server(ZONE) as server:
        there = NetworkAccess(nameserver=server)
        found = {name: await there.facts(name) for name in (*list(ZONE)[:2], "empty.shop.example", "no.shop.example")}

    assert list(found["shop.example"].addresses) == [NEAR, NEAR6]
    assert list(found["t.shop.example"].aliases) == ["shop.host.example.net", "edge.host.example.net"]
    assert list(found["t.shop.example"].addresses) == [FAR]
    assert [list(found[name].addresses) for name in ("empty.shop.example", "no.shop.example")] == [[], []]
    assert not any(each.unanswered for each in found.values())


async def test_a_silent_name_server_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no name server answers, the name is unknown, and not missing."""
    monkeypatch.setattr(network_access, "_LOOKUP_S", 0.2)
    async with name_server(ZONE, silent=True) as server:
        found = await NetworkAccess(nameserver=server).facts("shop.example")

    assert (list(found.addresses), found.unanswered) == ([], "no name server answered in time")


async def test_a_way_may_be_given() -> None:
    """For a name whose endpoint the owner gives, no name server is asked; an IP address stands for itself."""
    given = NetworkAccess({("shop.example", 443): ("127.0.0.1", 8443)}, nameserver=("127.0.0.1", 1))

    assert await given.endpoints("shop.example", 443) == [("127.0.0.1", 8443)]
    assert await given.endpoints("192.0.2.7", 80) == [("192.0.2.7", 80)]
