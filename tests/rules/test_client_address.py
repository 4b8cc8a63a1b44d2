"""The visitor's address is believed according to who wrote it: the peer, a trusted proxy, or a stranger."""

from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.request import Client
from proxy.rules.request.client_address import (
    Networks,
    _forwarded_for,
    client_of,
    host_asked_for,
    is_address,
    is_trusted,
)

NOBODY = Networks()
PROXIES = Networks(map(ip_network, ("10.0.0.0/8", "127.0.0.1/32", "104.16.0.0/13", "2001:db8:1::/48")))
VISITOR = "93.184.216.34"
VISITOR_6 = "2606:2800:220:1::34"

# Case, peer, forwarding header, trusted networks, address, untrusted_forwarding.
ADDRESSES = [
    ("direct", VISITOR, "", NOBODY, VISITOR, False),
    ("direct-ipv6", VISITOR_6, "", NOBODY, VISITOR_6, False),
    ("forged-without-proxies", VISITOR, "8.8.8.8", NOBODY, VISITOR, False),
    ("forged-list-without-proxies", VISITOR, "8.8.8.8, 1.1.1.1, 127.0.0.1", NOBODY, VISITOR, False),
    ("forged-beside-proxies", VISITOR, "8.8.8.8", PROXIES, VISITOR, False),
    ("forged-as-a-proxy", VISITOR, "8.8.8.8, 10.0.0.1", PROXIES, VISITOR, False),
    ("one-proxy", "10.0.0.1", VISITOR, PROXIES, VISITOR, False),
    ("one-proxy-ipv6-visitor", "10.0.0.1", VISITOR_6, PROXIES, VISITOR_6, False),
    ("ipv6-proxy", "2001:db8:1::7", VISITOR, PROXIES, VISITOR, False),
    ("ipv6-next-to-the-proxies", "2001:db8:2::7", VISITOR, PROXIES, "2001:db8:2::7", True),
    ("mapped-proxy", "::ffff:10.0.0.1", VISITOR, PROXIES, VISITOR, False),
    ("proxy-with-zone", "127.0.0.1%lo", VISITOR, PROXIES, VISITOR, False),
    ("two-proxies", "10.0.0.1", f"{VISITOR}, 104.16.1.1", PROXIES, VISITOR, False),
    ("three-proxies", "127.0.0.1", f"{VISITOR}, 104.16.1.1, 10.9.9.9", PROXIES, VISITOR, False),
    ("forged-left-end", "10.0.0.1", f"8.8.8.8, {VISITOR}", PROXIES, VISITOR, False),
    ("forged-left-end-two-proxies", "10.0.0.1", f"8.8.8.8, {VISITOR}, 104.16.1.1", PROXIES, VISITOR, False),
    ("forged-proxy-left-of-visitor", "10.0.0.1", f"8.8.8.8, 10.0.0.2, {VISITOR}", PROXIES, VISITOR, False),
    ("duplicates", "10.0.0.1", f"{VISITOR}, {VISITOR}, {VISITOR}", PROXIES, VISITOR, False),
    ("duplicate-proxies", "10.0.0.1", f"{VISITOR}, 10.0.0.1, 10.0.0.1", PROXIES, VISITOR, False),
    ("only-proxies", "10.0.0.1", "10.0.0.3, 10.0.0.2", PROXIES, "", False),
    ("proxy-without-header", "10.0.0.1", "", PROXIES, "", False),
    ("garbage-alone", "10.0.0.1", "unknown", PROXIES, "", False),
    ("garbage-at-the-right-end", "10.0.0.1", f"{VISITOR}, unknown", PROXIES, "", False),
    ("garbage-between-proxies", "10.0.0.1", f"{VISITOR}, _hidden, 104.16.1.1", PROXIES, "", False),
    ("garbage-left-of-visitor", "10.0.0.1", f"<script>, {VISITOR}", PROXIES, VISITOR, False),
    ("empty-entry-at-the-right-end", "10.0.0.1", f"{VISITOR},", PROXIES, "", False),
    ("empty-entry-left-of-visitor", "10.0.0.1", f",{VISITOR}", PROXIES, VISITOR, False),
    ("a-host-name", "10.0.0.1", "shop.example", PROXIES, "", False),
    ("a-number", "10.0.0.1", "1572395042", PROXIES, "", False),
    ("octal", "10.0.0.1", "093.184.216.034", PROXIES, "", False),
    ("too-few-parts", "10.0.0.1", "93.184.216", PROXIES, "", False),
    ("foreign-digits", "10.0.0.1", "\u0669\u0663.184.216.34", PROXIES, "", False),
    ("port", "10.0.0.1", f"{VISITOR}:50123", PROXIES, VISITOR, False),
    ("brackets", "10.0.0.1", f"[{VISITOR_6}]", PROXIES, VISITOR_6, False),
    ("brackets-and-port", "10.0.0.1", f"[{VISITOR_6}]:50123", PROXIES, VISITOR_6, False),
    ("quoted-brackets-and-port", "10.0.0.1", f'"[{VISITOR_6}]:50123"', PROXIES, VISITOR_6, False),
    ("zone", "10.0.0.1", "fe80::1%eth0", PROXIES, "fe80::1", False),
    ("zone-in-brackets", "10.0.0.1", "[fe80::1%25eth0]:443", PROXIES, "fe80::1", False),
    ("mapped-visitor", "10.0.0.1", f"::ffff:{VISITOR}", PROXIES, VISITOR, False),
    ("mapped-visitor-in-hex", "10.0.0.1", "::FFFF:5DB8:D822", PROXIES, VISITOR, False),
    ("long-form", "10.0.0.1", "2606:2800:0220:0001:0000:0000:0000:0034", PROXIES, VISITOR_6, False),
    ("blanks", "10.0.0.1", f"  8.8.8.8 ,\t{VISITOR}  ", PROXIES, VISITOR, False),
    ("private-visitor", "10.0.0.1", "192.168.1.7", PROXIES, "192.168.1.7", False),
    ("no-peer", "", VISITOR, PROXIES, "", False),
    ("peer-is-a-socket-file", "/run/proxy.sock", VISITOR, PROXIES, "", False),
    ("misdirected-loopback", "127.0.0.1", VISITOR, NOBODY, "127.0.0.1", True),
    ("misdirected-loopback-ipv6", "::1", VISITOR, PROXIES, "::1", True),
    ("misdirected-private", "172.17.0.1", VISITOR, PROXIES, "172.17.0.1", True),
    ("misdirected-mapped", "::ffff:192.168.0.1", VISITOR, PROXIES, "192.168.0.1", True),
    ("private-without-header", "172.17.0.1", "", PROXIES, "172.17.0.1", False),
]

PORT_6 = f'for="[{VISITOR_6}]:4711"'
# Case, the header's name, its value, CF-Connecting-IPv6, address; all from a trusted peer.
HEADERS = [
    ("forwarded", "Forwarded", f"for={VISITOR}", "", VISITOR),
    ("forwarded-any-case", "forwarded", f"For={VISITOR};Proto=https;By=10.0.0.1", "", VISITOR),
    ("forwarded-for-in-the-middle", "Forwarded", f"by=10.0.0.1; for={VISITOR} ;proto=https", "", VISITOR),
    ("forwarded-quoted", "Forwarded", f'for="{VISITOR}:4711"', "", VISITOR),
    ("forwarded-ipv6", "Forwarded", PORT_6, "", VISITOR_6),
    ("forwarded-ipv6-hidden-port", "Forwarded", f'for="[{VISITOR_6}]:_port.1"', "", VISITOR_6),
    ("forwarded-ipv6-mapped", "Forwarded", f'for="[::ffff:{VISITOR}]"', "", VISITOR),
    ("forwarded-final-semicolon", "Forwarded", f"for={VISITOR};", "", VISITOR),
    ("forwarded-through-proxies", "Forwarded", f"for={VISITOR}, for=104.16.1.1;by=10.0.0.2, for=10.0.0.2", "", VISITOR),
    ("forwarded-forged-left", "Forwarded", f"for=8.8.8.8, for={VISITOR}", "", VISITOR),
    ("forwarded-forged-proxy-left", "Forwarded", f"for=8.8.8.8, for=10.0.0.9, for={VISITOR}", "", VISITOR),
    ("forwarded-obfuscated", "Forwarded", f"for={VISITOR}, for=_hidden", "", ""),
    ("forwarded-obfuscated-behind-a-proxy", "Forwarded", f"for={VISITOR}, for=_SEVKISEK, for=10.0.0.2", "", ""),
    ("forwarded-unknown", "Forwarded", f"for={VISITOR}, for=unknown", "", ""),
    ("forwarded-unknown-left", "Forwarded", f"for=unknown, for={VISITOR}", "", VISITOR),
    ("forwarded-without-for", "Forwarded", f"for={VISITOR}, by=10.0.0.2;proto=https", "", ""),
    ("forwarded-two-for", "Forwarded", f"for=8.8.8.8;for={VISITOR}", "", ""),
    ("forwarded-bare-address", "Forwarded", VISITOR, "", ""),
    ("forwarded-empty", "Forwarded", "", "", ""),
    ("forwarded-empty-element", "Forwarded", f"for={VISITOR},", "", ""),
    ("forwarded-bare-ipv6", "Forwarded", f"for={VISITOR_6}", "", ""),
    ("forwarded-open-quote-alone", "Forwarded", f'for="{VISITOR}', "", ""),
    ("forwarded-open-quote-of-a-stranger", "Forwarded", f'for=8.8.8.8;x=", for={VISITOR}', "", VISITOR),
    ("forwarded-open-quote-before-quotes", "Forwarded", f'for=8.8.8.8;x=", {PORT_6}', "", VISITOR_6),
    ("forwarded-comma-in-quotes", "Forwarded", f'for={VISITOR};host="a,for=8.8.8.8"', "", VISITOR),
    ("forwarded-escape-in-quotes", "Forwarded", f'for={VISITOR};host="a\\",for=8.8.8.8"', "", VISITOR),
    ("forwarded-name-inside-quotes", "Forwarded", f'host="for=8.8.8.8";for={VISITOR}', "", VISITOR),
    ("forwarded-many-commas-in-quotes", "Forwarded", f'for={VISITOR};x=",,,,,,,,"', "", ""),
    ("cloudflare", "CF-Connecting-IP", VISITOR, "", VISITOR),
    ("cloudflare-any-case", "cf-connecting-ip", VISITOR_6, "", VISITOR_6),
    ("cloudflare-pseudo", "CF-Connecting-IP", "254.252.239.103", VISITOR_6, VISITOR_6),
    ("cloudflare-pseudo-without-the-real-one", "CF-Connecting-IP", "254.252.239.103", "", ""),
    ("cloudflare-pseudo-and-garbage", "CF-Connecting-IP", "254.252.239.103", "unknown", ""),
    ("cloudflare-forged-pseudo", "CF-Connecting-IP", VISITOR, "2606:4700::1", VISITOR),
    ("pseudo-of-another-header", "True-Client-IP", "254.252.239.103", VISITOR_6, "254.252.239.103"),
    ("cloudflare-list", "CF-Connecting-IP", f"8.8.8.8, {VISITOR}", "", ""),
    ("cloudflare-same-twice", "CF-Connecting-IP", f"{VISITOR}, {VISITOR}", "", ""),
    ("cloudflare-list-of-ipv6", "CF-Connecting-IP", f"[{VISITOR_6}], 8.8.8.8", "", ""),
    ("cloudflare-a-proxy-of-ours", "CF-Connecting-IP", "10.0.0.7", "", ""),
    ("true-client", "True-Client-IP", VISITOR, "", VISITOR),
    ("true-client-list", "True-Client-IP", f"{VISITOR}, 10.0.0.1", "", ""),
    ("fastly", "Fastly-Client-IP", VISITOR_6, "", VISITOR_6),
    ("fastly-list", "Fastly-Client-IP", f"{VISITOR},8.8.8.8", "", ""),
    ("fastly-empty", "Fastly-Client-IP", "", "", ""),
    ("real-ip", "X-Real-IP", VISITOR, "", VISITOR),
    ("real-ip-list", "X-Real-IP", f"8.8.8.8, {VISITOR}", "", ""),
    ("cloudfront", "CloudFront-Viewer-Address", f"{VISITOR}:46532", "", VISITOR),
    ("cloudfront-ipv6", "CloudFront-Viewer-Address", f"{VISITOR_6}:46532", "", VISITOR_6),
    ("cloudfront-brackets", "CloudFront-Viewer-Address", f"[{VISITOR_6}]:46532", "", VISITOR_6),
    ("cloudfront-list", "CloudFront-Viewer-Address", f"8.8.8.8:1, {VISITOR}:2", "", ""),
    ("another-list", "X-Original-For", f"8.8.8.8, {VISITOR}, 10.0.0.3", "", VISITOR),
    ("behind-brackets", "X-Forwarded-For", f"[{VISITOR_6}]8.8.8.8", "", ""),
    ("open-bracket", "X-Forwarded-For", f"[{VISITOR_6}", "", ""),
    ("two-ports", "X-Forwarded-For", f"{VISITOR}:1:2", "", ""),
    ("port-alone", "X-Forwarded-For", ":443", "", ""),
    ("very-long", "X-Forwarded-For", "1" * 4000, "", ""),
    ("compatible", "X-Forwarded-For", f"::{VISITOR}", "", "::5db8:d822"),
]

PUBLIC = ["93.184.216.34", "8.8.8.8", "1.1.1.1", VISITOR_6, "2001:4860:4860::8888", f"::ffff:{VISITOR}"]
NOT_PUBLIC = {
    "empty": "",
    "a-host": "shop.example",
    "unspecified": "0.0.0.0",
    "this-network": "0.1.2.3",
    "private-10": "10.1.2.3",
    "private-172": "172.31.255.255",
    "private-192": "192.168.0.1",
    "loopback": "127.0.0.1",
    "link-local": "169.254.1.1",
    "carrier-nat-first": "100.64.0.0",
    "carrier-nat-last": "100.127.255.255",
    "documentation-1": "192.0.2.1",
    "documentation-2": "198.51.100.1",
    "documentation-3": "203.0.113.1",
    "benchmarking": "198.18.0.1",
    "multicast": "224.0.0.1",
    "multicast-last": "239.255.255.255",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "6to4-anycast": "192.88.99.1",
    "ipv6-unspecified": "::",
    "ipv6-compatible": f"::{VISITOR}",
    "ipv6-segments": "5f00::1",
    "ipv6-local-nat64": "64:ff9b:1::1",
    "ipv6-loopback": "::1",
    "ipv6-link-local": "fe80::1",
    "ipv6-site-local": "fec0::1",
    "ipv6-unique-local": "fd12:3456::1",
    "ipv6-documentation": "2001:db8::1",
    "ipv6-documentation-2024": "3fff::1",
    "ipv6-multicast": "ff02::1",
    "ipv6-discard": "100::1",
    "mapped-private": "::ffff:10.0.0.1",
    "mapped-carrier-nat": "::ffff:100.64.0.1",
    "mapped-documentation": "::ffff:192.0.2.1",
}


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "address", "untrusted_forwarding"),
    [row[1:] for row in ADDRESSES],
    ids=[row[0] for row in ADDRESSES],
)
def test_only_what_a_trusted_proxy_wrote_names_the_visitor(
    peer: str, forwarded: str, trusted: Networks, address: str, *, untrusted_forwarding: bool
) -> None:
    """The right-most address that is no trusted proxy is the visitor's; those to its left are ignored."""
    found = client_of(peer, forwarded, trusted)

    assert (found.address, found.untrusted_forwarding, found.believed) == (
        address,
        untrusted_forwarding,
        is_trusted(peer, trusted),
    )


@pytest.mark.parametrize(
    ("header", "value", "pseudo", "address"), [row[1:] for row in HEADERS], ids=[row[0] for row in HEADERS]
)
def test_each_header_is_read_in_its_own_way(header: str, value: str, pseudo: str, address: str) -> None:
    """Lists are read from the right, ``Forwarded`` by its grammar, a header of one address only if it holds one."""
    assert client_of("10.0.0.1", value, PROXIES, header=header, pseudo=pseudo).address == address


@pytest.mark.parametrize(("header", "value"), [row[1:3] for row in HEADERS], ids=[row[0] for row in HEADERS])
def test_no_header_of_a_stranger_counts(header: str, value: str) -> None:
    """The same headers have no effect if the peer is not trusted."""
    assert client_of(VISITOR, value, PROXIES, header=header, pseudo=VISITOR_6) == Client(VISITOR, public=True)


@given(st.text(), st.sampled_from(["", ", for=10.0.0.2", ';by="_x", for="10.0.0.3:80"']))
def test_no_forgery_reaches_past_what_a_proxy_wrote(forged: str, rest: str) -> None:
    """Whatever a visitor sends, quotes included, the element that a trusted proxy appends names the visitor."""
    forwarded = f"{forged}, for={VISITOR}{rest}"
    listed = f"{forged}, {VISITOR}, 10.0.0.2"

    assert client_of("10.0.0.1", forwarded, PROXIES, header="Forwarded").address == VISITOR
    assert client_of("10.0.0.1", f"{forged}, {PORT_6}{rest}", PROXIES, header="Forwarded").address == VISITOR_6
    assert client_of("10.0.0.1", listed, PROXIES).address == VISITOR


@given(st.text(), st.sampled_from(["Forwarded", "CF-Connecting-IP", "CloudFront-Viewer-Address", "X-Forwarded-For"]))
def test_any_header_gives_an_address_or_none(value: str, header: str) -> None:
    """No text raises an error; the result is empty, or an address that is no trusted proxy."""
    address = client_of("10.0.0.1", value, PROXIES, header=header, pseudo=value).address

    assert address == "" or (is_address(address) and not is_trusted(address, PROXIES))


def test_a_hostile_forwarded_header_costs_little() -> None:
    """Thousands of commas, quotes or pairs in front of a proxy's element are read quickly, and name nobody."""
    for filler in (",", '"', "a=b;", 'a="', "\\"):
        assert client_of("10.0.0.1", f"{filler * 2000}, for=10.0.0.2", PROXIES, header="Forwarded").address == ""


@pytest.mark.parametrize(
    ("said", "peer", "host"),
    [
        ("a.example", "10.0.0.1", "a.example"),
        ("x, a.example", "10.0.0.1", "a.example"),
        ("", "10.0.0.1", "b"),
        ("a", VISITOR, "b"),
    ],
)
def test_a_trusted_proxy_names_the_host(said: str, peer: str, host: str) -> None:
    """The last host of a trusted peer's list counts; a stranger's does not."""
    assert host_asked_for("b", said, client_of(peer, "", PROXIES)) == host


def test_a_very_long_forwarding_list_was_made_up() -> None:
    """Of a forwarding list the last 50 elements are read; if all are trusted proxies, the list names nobody."""
    assert client_of("10.0.0.1", f"{VISITOR}, " + ", ".join(["10.0.0.2"] * 49), PROXIES).address == VISITOR
    assert client_of("10.0.0.1", f"{VISITOR}, " + ", ".join(["10.0.0.2"] * 5000), PROXIES).address == ""


# Repeated blanks, quotes and separators, where an element might continue; at quadratic cost none would be read in time.
ENDLESS = [
    " ",
    "\t",
    "a=b ; ",
    "a=b;",
    '"',
    "\\",
    '\\"',
    ",",
    "for=10.0.0.1,",
    "for=10.0.0.2 , ",
    'for="a,',
    "a",
    "=",
    '="',
]


@pytest.mark.parametrize("unit", ENDLESS)
@pytest.mark.parametrize(("front", "back"), [("", ""), ("for=1.2.3.4", "x"), ("", "for=1.2.3.4"), ('for="', '"')])
def test_a_forwarded_header_of_half_a_megabyte_is_read_to_its_end(front: str, unit: str, back: str) -> None:
    """The cost of ``Forwarded`` is linear in its length: half a megabyte is read within the test's time limit."""
    value = front + unit * (500_000 // len(unit)) + back

    assert all(len(address) <= len(value) for address in islice(_forwarded_for(value), 50))


@pytest.mark.parametrize(
    ("peer", "expected"),
    [("10.0.0.1", True), ("::ffff:10.0.0.1", True), ("11.0.0.1", False), ("2001:db8:1::1", True), ("", False)],
)
def test_a_peer_is_trusted_by_its_network(peer: str, *, expected: bool) -> None:
    """Only a peer in one of the listed networks is believed about host and scheme."""
    assert is_trusted(peer, PROXIES) is expected


@given(st.lists(st.ip_addresses().map(str), max_size=8), st.ip_addresses(), st.integers(0, 32))
def test_a_network_holds_what_is_in_it(addresses: list[str], address: IPv4Address | IPv6Address, length: int) -> None:
    """The sorted ranges give for every address the same answer as the networks, also if one lies in another."""
    networks = [ip_network(f"{address}/{size}", strict=False) for address in addresses for size in (length, 8)]
    listed = Networks(networks)

    def is_held(address: IPv4Address | IPv6Address) -> bool:
        return listed.hold(address.version, int(address))

    assert is_held(address) is any(address in network for network in networks)
    assert all(is_held(network[0]) and is_held(network[-1]) for network in networks)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_real_address_may_be_sent(address: str) -> None:
    """An address that the internet routes is public."""
    assert client_of(address, "", NOBODY).public is True
    assert client_of("10.0.0.1", address, PROXIES).public is True


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC.keys())
def test_what_nobody_on_the_internet_has_is_never_sent(address: str) -> None:
    """Private, shared, reserved, documentation and multicast addresses are not public."""
    assert client_of(address, "", NOBODY).public is False
    assert client_of("10.0.0.1", address, PROXIES).public is False
