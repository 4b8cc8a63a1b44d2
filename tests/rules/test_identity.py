"""Who is asking is decided by what we know ourselves: addresses, domains, cookies and the browser's ids."""

from ipaddress import ip_network
from typing import Any

import pytest

from proxy.rules.identity import (
    BrowserIds,
    Client,
    browser_ids,
    click_id,
    client,
    cookies_of,
    forget_cookies,
    host_of,
    is_public,
    is_trusted,
    registrable,
    same_site,
    set_cookie,
    valid_fbc,
    valid_fbp,
)

NOW = 1_764_000_000_000
NOBODY = ()
PROXIES = tuple(map(ip_network, ("10.0.0.0/8", "127.0.0.1/32", "104.16.0.0/13", "2001:db8:1::/48")))
VISITOR = "93.184.216.34"
VISITOR_6 = "2606:2800:220:1::34"

# Case, peer, forwarding header, trusted networks, address, misdirected.
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
    "ipv6-unspecified": "::",
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

# Host header, origin or Referer; its host.
HOSTS = [
    ("", ""),
    ("shop.example", "shop.example"),
    ("Shop.EXAMPLE", "shop.example"),
    ("shop.example:8080", "shop.example"),
    ("shop.example.", "shop.example"),
    ("shop.example.:443", "shop.example"),
    ("localhost:8800", "localhost"),
    ("127.0.0.1:8080", "127.0.0.1"),
    ("[::1]", "::1"),
    ("[::1]:8080", "::1"),
    ("[2001:DB8::1]:443", "2001:db8::1"),
    ("https://Shop.example", "shop.example"),
    ("https://shop.example:8443", "shop.example"),
    ("https://shop.example/p?x=1", "shop.example"),
    ("https://shop.example?x=1", "shop.example"),
    ("https://[::1]:8080/p", "::1"),
    ("https://evil.example/?u=https://shop.example/", "evil.example"),
    ("https://evil.example?u=https://shop.example", "evil.example"),
    ("https://evil.example#://shop.example", "evil.example"),
    ("https://evil.example/.shop.example", "evil.example"),
    ("https://evil.example?.shop.example", "evil.example"),
    ("https://evil.example\\.shop.example", "evil.example"),
    ("https://shop.example@evil.example/", "evil.example"),
    ("https://shop.example:pw@evil.example:443/", "evil.example"),
    ("null", "null"),
    ("https://", ""),
    ("://shop.example", ""),
    ("[", "["),
]

# Host, registrable domain.
DOMAINS = [
    ("shop.example", "shop.example"),
    ("www.shop.example", "shop.example"),
    ("a.b.c.shop.example", "shop.example"),
    ("shop.co.uk", "shop.co.uk"),
    ("www.shop.co.uk", "shop.co.uk"),
    ("co.uk", ""),
    ("com", ""),
    ("anna.github.io", "anna.github.io"),
    ("www.anna.github.io", "anna.github.io"),
    ("github.io", ""),
    ("www.ck", "www.ck"),
    ("shop.other.ck", "shop.other.ck"),
    ("city.kawasaki.jp", "city.kawasaki.jp"),
    ("www.city.kawasaki.jp", "city.kawasaki.jp"),
    ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("shop.unknown-tld", "shop.unknown-tld"),
    ("a.b.shop.unknown-tld", "shop.unknown-tld"),
    ("WWW.Shop.CO.UK", "shop.co.uk"),
    ("localhost", ""),
    ("intranet", ""),
    ("", ""),
    (".", ""),
    ("a..b", ""),
    ("127.0.0.1", ""),
    ("93.184.216.34", ""),
    ("::1", ""),
    ("2606:2800:220:1::34", ""),
]

SAME_SITE = [
    ("shop.example", "shop.example", True),
    ("t.shop.example", "shop.example", True),
    ("t.shop.example", "www.shop.example", True),
    ("shop.example", "other.example", False),
    ("t.shop.co.uk", "www.shop.co.uk", True),
    ("a.co.uk", "b.co.uk", False),
    ("anna.github.io", "berta.github.io", False),
    ("localhost", "localhost", True),
    ("localhost", "127.0.0.1", False),
    ("127.0.0.1", "127.0.0.1", True),
    ("10.0.0.1", "10.0.0.2", False),
    ("intranet", "extranet", False),
]

COOKIES = [
    ("", {}),
    ("_fbp=fb.1.2.3", {"_fbp": "fb.1.2.3"}),
    ("a=1; _fbp=fb.1.2.3;b=2", {"a": "1", "_fbp": "fb.1.2.3", "b": "2"}),
    ("_fbp=first; _fbp=second", {"_fbp": "first"}),
    ('a="quoted"', {"a": "quoted"}),
    ("a=b=c", {"a": "b=c"}),
    ("a=", {"a": ""}),
    ("flag; a=1", {"a": "1"}),
    ("=1;;; ;", {"": "1"}),
    ("_FBP=x", {"_FBP": "x"}),
    ("\x00\ufffd; a=1", {"a": "1"}),
]

FBP = "fb.1.1596403881668.1116446470"
FBC = "fb.1.1554763741205.AbCdEfGhIjKlMnOpQrStUvWxYz1234567890"

WELL_FORMED = [
    (valid_fbp, FBP),
    (valid_fbp, f"{FBP}.Bg"),
    (valid_fbp, f"{FBP}.AQQCAQIB"),
    (valid_fbp, "fb.0.1596403881668.1"),
    (valid_fbp, "fb.12.1596403881668.999999998999999998"),
    (valid_fbc, FBC),
    (valid_fbc, "fb.1.2.testpayload"),
    (valid_fbc, "fb.1.2.testpayload.Bg"),
    (valid_fbc, "fb.1.2.testpayload.AQQCAQIB"),
    (valid_fbc, "fb.1.1554763741205.IwAR_a-b_aem_x__DOT__y"),
    (valid_fbc, "fb.2.1554763741205." + "x" * 500),
]
MALFORMED = [
    (valid_fbp, ""),
    (valid_fbp, "fb.1.123."),
    (valid_fbp, "fb.1.2"),
    (valid_fbp, "fb.1.1533706565"),
    (valid_fbp, "fb1.1.123.4"),
    (valid_fbp, "fb.1b.123.4"),
    (valid_fbp, "fb.1.123aa.4"),
    (valid_fbp, "fb.1.123.abc"),
    (valid_fbp, "fb.1.123.4.blorp"),
    (valid_fbp, "fb.1.123.4.Bg.Bg"),
    (valid_fbp, "fb.1.123.4.A!"),
    (valid_fbp, f" {FBP}"),
    (valid_fbp, f"{FBP}\n"),
    (valid_fbp, f"{FBP}; Domain=evil.example"),
    (valid_fbp, "fb.1.١٢٣.٤٥٦"),
    (valid_fbp, "fb.1.123." + "4" * 21),
    (valid_fbp, "FB.1.123.4"),
    (valid_fbc, ""),
    (valid_fbc, "fb.1.2"),
    (valid_fbc, "fb.1.1533706565"),
    (valid_fbc, "fb2.1.1533706565.abc"),
    (valid_fbc, "gclick.1.1533706565.abc"),
    (valid_fbc, "fb.1.pusheen.x"),
    (valid_fbc, "fb.1.1533706565.beep.blorp"),
    (valid_fbc, "fb.1.123.abc.invalid"),
    (valid_fbc, "fb.1.123.abc.de.fg"),
    (valid_fbc, "fb1.1.123.abc"),
    (valid_fbc, "fb.1b.123.abc"),
    (valid_fbc, "fb.1.123aa.abc"),
    (valid_fbc, "fb.1.١٢٣.abc"),
    (valid_fbc, "fb.1.123."),
    (valid_fbc, "fb.1.123.a b"),
    (valid_fbc, "fb.1.123.a;b"),
    (valid_fbc, "fb.1.123.a,b"),
    (valid_fbc, 'fb.1.123.a"b'),
    (valid_fbc, "fb.1.123.bücher"),
    (valid_fbc, "fb.1.123.abc\r\n"),
    (valid_fbc, "fb.1.123." + "x" * 601),
]

PAGE = "https://shop.example/p"
CLICKS = [
    ("none", PAGE, ""),
    ("plain", f"{PAGE}?fbclid=IwAR0_a-B", "IwAR0_a-B"),
    ("among-others", f"{PAGE}?a=1&fbclid=IwAR&b=2", "IwAR"),
    ("case-is-kept", f"{PAGE}?fbclid=aBcDeF", "aBcDeF"),
    ("percent-encoded", f"{PAGE}?fbclid=Iw%41R", "IwAR"),
    ("decoded-once", f"{PAGE}?fbclid=Iw%2541R", "Iw%41R"),
    ("dot", f"{PAGE}?fbclid=a.b.c", "a__DOT__b__DOT__c"),
    ("first-of-two", f"{PAGE}?fbclid=one&fbclid=two", "one"),
    ("empty", f"{PAGE}?fbclid=", ""),
    ("500-characters", f"{PAGE}?fbclid={'x' * 500}", "x" * 500),
    ("501-characters", f"{PAGE}?fbclid={'x' * 501}", ""),
    ("script", f"{PAGE}?fbclid=javascript:alert", ""),
    ("script-in-capitals", f"{PAGE}?fbclid=xJavaScriptx", ""),
    ("blank", f"{PAGE}?fbclid=a+b", ""),
    ("cookie-breaking", f"{PAGE}?fbclid=a%3BDomain%3Devil.example", ""),
    ("line-break", f"{PAGE}?fbclid=a%0D%0Ab", ""),
    ("not-ascii", f"{PAGE}?fbclid=b%C3%BCcher", ""),
    ("not-utf-8", f"{PAGE}?fbclid=%ff%fe", ""),
    ("another-parameter", f"{PAGE}?xfbclid=IwAR", ""),
    ("other-case-of-the-name", f"{PAGE}?FBCLID=IwAR", ""),
    ("in-the-path", "https://shop.example/fbclid=IwAR", ""),
    ("no-scheme", "shop.example?fbclid=IwAR", "IwAR"),
    ("broken-address", "https://[shop.example/?fbclid=IwAR", "IwAR"),
]

OLD = "fb.1.1700000000000.abc"
# Case, _fbc cookie, fbc of the body, page, referrer; expected fbc.
CLICK_IDS = [
    ("nothing", "", "", PAGE, "", ""),
    ("cookie-alone", OLD, "", PAGE, "", OLD),
    ("body-alone", "", OLD, PAGE, "", OLD),
    ("cookie-beats-body", OLD, "fb.1.1700000000001.other", PAGE, "", OLD),
    ("malformed-cookie", "fb.1.x.abc", OLD, PAGE, "", OLD),
    ("appendix-of-2", f"{OLD}.Bg", "", PAGE, "", f"{OLD}.Bg"),
    ("appendix-of-8", f"{OLD}.AQQAAQIB", "", PAGE, "", f"{OLD}.AQQAAQIB"),
    ("new-click", "", "", f"{PAGE}?fbclid=def", "", f"fb.1.{NOW}.def"),
    ("same-click-keeps-its-time", OLD, "", f"{PAGE}?fbclid=abc", "", OLD),
    ("same-click-keeps-its-appendix", f"{OLD}.AQQAAQIB", "", f"{PAGE}?fbclid=abc", "", f"{OLD}.AQQAAQIB"),
    ("same-click-in-the-body", "", OLD, f"{PAGE}?fbclid=abc", "", OLD),
    ("page-saw-the-new-click-first", "fb.1.1600000000000.old", OLD, f"{PAGE}?fbclid=abc", "", OLD),
    ("other-click-replaces", OLD, "", f"{PAGE}?fbclid=def", "", f"fb.1.{NOW}.def"),
    ("case-makes-another-click", OLD, "", f"{PAGE}?fbclid=ABC", "", f"fb.1.{NOW}.ABC"),
    ("same-click-with-a-dot", "fb.1.1.a__DOT__b", "", f"{PAGE}?fbclid=a.b", "", "fb.1.1.a__DOT__b"),
    ("new-click-with-a-dot", OLD, "", f"{PAGE}?fbclid=a.b", "", f"fb.1.{NOW}.a__DOT__b"),
    ("too-long-changes-nothing", OLD, "", f"{PAGE}?fbclid={'x' * 501}", "", OLD),
    ("script-changes-nothing", OLD, "", f"{PAGE}?fbclid=javascript", "", OLD),
    ("referrer", "", "", PAGE, f"{PAGE}?fbclid=def", f"fb.1.{NOW}.def"),
    ("page-beats-referrer", "", "", f"{PAGE}?fbclid=def", f"{PAGE}?fbclid=ghi", f"fb.1.{NOW}.def"),
]

# Host of the proxy, host of the page; index of new ids.
INDEXES = [
    ("shop.example", "shop.example", 1),
    ("t.shop.example", "www.shop.example", 1),
    ("a.b.c.shop.example", "shop.example", 1),
    ("t.shop.co.uk", "shop.co.uk", 2),
    ("t.anna.github.io", "anna.github.io", 2),
    ("t.shop.unknown-tld", "shop.unknown-tld", 1),
    ("localhost", "localhost", 0),
    ("127.0.0.1", "127.0.0.1", 0),
    ("::1", "::1", 0),
    ("t.other.example", "shop.example", 1),
    ("t.other.co.uk", "shop.co.uk", 1),
]


def ids(**changes: Any) -> BrowserIds:
    usual: dict[str, Any] = {
        "cookie": "",
        "fbp": "",
        "fbc": "",
        "url": PAGE,
        "referrer": "",
        "host": "t.shop.example",
        "origin_host": "shop.example",
        "secure": True,
        "now": NOW,
        "entropy": 42,
    }
    return browser_ids(**(usual | changes))


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "address", "misdirected"),
    [row[1:] for row in ADDRESSES],
    ids=[row[0] for row in ADDRESSES],
)
def test_only_what_a_trusted_proxy_wrote_names_the_visitor(
    peer: str, forwarded: str, trusted: tuple[Any, ...], address: str, *, misdirected: bool
) -> None:
    """The right-most address that is no trusted proxy is the visitor's; nothing left of it is looked at."""
    assert client(peer, forwarded, trusted) == Client(address, misdirected)


def test_a_very_long_forwarding_list_costs_little() -> None:
    """A list of thousands of proxies is walked to its end."""
    assert client("10.0.0.1", f"{VISITOR}, " + ", ".join(["10.0.0.2"] * 5000), PROXIES) == Client(VISITOR)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [("10.0.0.1", True), ("::ffff:10.0.0.1", True), ("11.0.0.1", False), ("2001:db8:1::1", True), ("", False)],
)
def test_a_peer_is_trusted_by_its_network(peer: str, *, expected: bool) -> None:
    """Host and scheme are believed from the listed networks only."""
    assert is_trusted(peer, PROXIES) is expected


@pytest.mark.parametrize("address", PUBLIC)
def test_a_real_address_may_be_sent(address: str) -> None:
    """An address that the internet routes is public."""
    assert is_public(address) is True


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC.keys())
def test_what_nobody_on_the_internet_has_is_never_sent(address: str) -> None:
    """Private, shared, reserved, documentation and multicast addresses are not public."""
    assert is_public(address) is False


@pytest.mark.parametrize(("authority", "host"), HOSTS)
def test_the_host_is_what_stands_behind_the_scheme(authority: str, host: str) -> None:
    """Neither path, query, user nor another address inside can pose as the host."""
    assert host_of(authority) == host


@pytest.mark.parametrize(("host", "domain"), DOMAINS)
def test_the_registrable_domain_follows_the_public_suffix_list(host: str, domain: str) -> None:
    """Suffixes of registries and of hosters count; addresses and single labels have no domain."""
    assert registrable(host) == domain


@pytest.mark.parametrize(("one", "other", "expected"), SAME_SITE)
def test_cookies_reach_hosts_of_the_same_registrable_domain(one: str, other: str, *, expected: bool) -> None:
    """Two hosts are the same site in both directions, or not at all."""
    assert (same_site(one, other), same_site(other, one)) == (expected, expected)


@pytest.mark.parametrize(("header", "cookies"), COOKIES)
def test_cookies_are_read_as_sent(header: str, cookies: dict[str, str]) -> None:
    """Any header gives name and value, the first of a repeated name."""
    assert cookies_of(header) == cookies


@pytest.mark.parametrize(("valid", "value"), WELL_FORMED)
def test_ids_of_four_and_five_segments_stay_byte_for_byte(valid: Any, value: str) -> None:
    """A well-formed id is returned as it is, with an appendix of 2 or 8 characters."""
    assert valid(value) == value


@pytest.mark.parametrize(("valid", "value"), MALFORMED)
def test_malformed_ids_count_as_absent(valid: Any, value: str) -> None:
    """What the Pixel would not have written is ignored."""
    assert valid(value) == ""


@pytest.mark.parametrize(("url", "expected"), [row[1:] for row in CLICKS], ids=[row[0] for row in CLICKS])
def test_the_click_id_is_taken_as_the_pixel_takes_it(url: str, expected: str) -> None:
    """Decoded once, case kept, dots written out; anything odd is no click id."""
    assert click_id(url) == expected


@pytest.mark.parametrize(
    ("cookie", "body", "url", "referrer", "expected"),
    [row[1:] for row in CLICK_IDS],
    ids=[row[0] for row in CLICK_IDS],
)
def test_a_new_click_replaces_and_the_same_click_keeps_its_time(
    cookie: str, body: str, url: str, referrer: str, expected: str
) -> None:
    """The stored click id stays with its first time until another one, case included, arrives."""
    found = ids(cookie=f"_fbc={cookie}", fbc=body, url=url, referrer=referrer)

    assert found.fbc == expected


@pytest.mark.parametrize(("host", "page", "index"), INDEXES)
def test_the_index_counts_the_labels_of_the_cookie_domain(host: str, page: str, index: int) -> None:
    """New ids carry the depth of their cookie's domain, 1 where no cookie is set, 0 without a domain."""
    found = ids(host=host, origin_host=page, url=f"{PAGE}?fbclid=def")

    assert (found.fbp, found.fbc) == (f"fb.{index}.{NOW}.42", f"fb.{index}.{NOW}.def")


@pytest.mark.parametrize(
    ("entropy", "random"),
    [(0, "0"), (7, "7"), (10**18 - 1, "9" * 18), (10**18, "0"), (2**128 - 1, str((2**128 - 1) % 10**18))],
)
def test_a_new_fbp_has_at_most_18_random_digits(entropy: int, random: str) -> None:
    """However much entropy there is, the random part has the Pixel's size and is valid to ourselves."""
    made = ids(entropy=entropy).fbp

    assert (made, valid_fbp(made)) == (f"fb.1.{NOW}.{random}", made)


@pytest.mark.parametrize(
    ("cookie", "body", "expected"),
    [
        ("", "", f"fb.1.{NOW}.42"),
        (FBP, "", FBP),
        ("", FBP, FBP),
        (FBP, "fb.1.1.2", FBP),
        (f"{FBP}.AQQAAQIB", "", f"{FBP}.AQQAAQIB"),
        ("fb.1.123.", FBP, FBP),
        ("fb.1.123.", "fb.1.x.4", f"fb.1.{NOW}.42"),
    ],
)
def test_cookie_beats_body_at_home(cookie: str, body: str, expected: str) -> None:
    """Where page and proxy share a domain the cookie decides, then the body, then a new id."""
    assert ids(cookie=f"_fbp={cookie}", fbp=body).fbp == expected


@pytest.mark.parametrize(
    ("cookie", "body", "expected"), [(FBP, "", f"fb.1.{NOW}.42"), ("", FBP, FBP), ("fb.1.1.2", FBP, FBP)]
)
def test_body_beats_cookie_across_sites(cookie: str, body: str, expected: str) -> None:
    """A cookie of another site is somebody else's id; the page's word counts and nothing is set."""
    found = ids(cookie=f"_fbp={cookie}; _fbc={OLD}", fbp=body, host="t.other.example")

    assert found == BrowserIds(expected, "", ())


def test_the_cookies_are_set_as_the_pixel_would() -> None:
    """Both ids are repeated for 90 days, on the registrable domain, readable by script."""
    assert ids(fbp=FBP, fbc=FBC).cookies == (
        f"_fbp={FBP}; Max-Age=7776000; Path=/; SameSite=Lax; Domain=shop.example; Secure",
        f"_fbc={FBC}; Max-Age=7776000; Path=/; SameSite=Lax; Domain=shop.example; Secure",
    )


def test_without_a_click_only_fbp_is_set() -> None:
    """A visit that never came from an ad has no _fbc, and no cookie for one."""
    assert ids(fbp=FBP, secure=False).cookies == (
        f"_fbp={FBP}; Max-Age=7776000; Path=/; SameSite=Lax; Domain=shop.example",
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "intranet"])
def test_addresses_and_single_labels_get_host_cookies(host: str) -> None:
    """A browser refuses a Domain that is an address or one label, so none is written."""
    found = ids(host=host, origin_host=host, secure=False)

    assert found.cookies == (f"_fbp=fb.0.{NOW}.42; Max-Age=7776000; Path=/; SameSite=Lax",)


def test_a_withdrawal_ends_both_cookies_where_they_were_set() -> None:
    """Forgetting uses the name, domain and path of the cookies, so that the browser finds them."""
    assert forget_cookies("t.shop.co.uk", secure=True) == (
        "_fbp=; Max-Age=0; Path=/; SameSite=Lax; Domain=shop.co.uk; Secure",
        "_fbc=; Max-Age=0; Path=/; SameSite=Lax; Domain=shop.co.uk; Secure",
    )
    assert forget_cookies("localhost", secure=False) == (
        "_fbp=; Max-Age=0; Path=/; SameSite=Lax",
        "_fbc=; Max-Age=0; Path=/; SameSite=Lax",
    )


def test_set_cookie_writes_what_it_is_told() -> None:
    """Life-time, domain and Secure are the caller's choice."""
    assert set_cookie("a", "b", "", secure=False, seconds=5) == "a=b; Max-Age=5; Path=/; SameSite=Lax"
