"""Host, domain, cookies and the browser's ids are decided by what the proxy itself can see."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.rules.identity.browser_ids import BrowserIds, browser_ids, click_id, valid_fbc, valid_fbp
from proxy.rules.request.cookies import cookies_of, expire_browser_ids, named_cookies, pattern_of, set_cookie
from proxy.rules.request.sites import CookieScope, cookie_scope_between, host_of, registrable

NOW = 1_764_000_000_000

# Host header, Origin or Referer; the host in it.
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
    ("https://straße.de/p", "xn--strae-oqa.de"),
    ("https://xn--strae-oqa.de", "xn--strae-oqa.de"),
    ("https://STRASSE.de", "strasse.de"),
    ("https://Bücher.example:8443", "xn--bcher-kva.example"),
    ("https://a_b.shop.example", "a_b.shop.example"),
    ("https://é..example", ""),
    (f"https://{'a' * 254}", ""),
    (f"https://{'é' * 101}", ""),
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
    (valid_fbp, "fb.1.2.testpayload"),
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
    (valid_fbp, "fb.1.123.4.AB"),
    (valid_fbp, "fb.1.123.4.blorp"),
    (valid_fbp, "fb.1.123.4.Bg.Bg"),
    (valid_fbp, "fb.1.123.4.A!"),
    (valid_fbp, f" {FBP}"),
    (valid_fbp, f"{FBP}\n"),
    (valid_fbp, f"{FBP}; Domain=evil.example"),
    (valid_fbp, "fb.1.١٢٣.٤٥٦"),
    (valid_fbp, "fb.1.123." + "4" * 101),
    (valid_fbp, "FB.1.123.4"),
    (valid_fbc, ""),
    (valid_fbc, "fb.1.2"),
    (valid_fbc, "fb.1.1533706565"),
    (valid_fbc, "fb2.1.1533706565.abc"),
    (valid_fbc, "gclick.1.1533706565.abc"),
    (valid_fbc, "fb.1.pusheen.x"),
    (valid_fbc, "fb.1.1533706565.beep.blorp"),
    (valid_fbc, "fb.1.123.abc.invalid"),
    (valid_fbc, "fb.1.1533706565.beep.AB"),
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
    ("fragment", f"{PAGE}#fbclid=IwAR", "IwAR"),
    ("fragment-among-others", f"{PAGE}?a=1#a=1&fbclid=IwAR", "IwAR"),
    ("fragment-of-an-app", f"{PAGE}#/shoes?fbclid=IwAR", "IwAR"),
    ("query-beats-fragment", f"{PAGE}?fbclid=one#fbclid=two", "one"),
    ("dots-up-to-the-room", f"{PAGE}?fbclid={'x' * 483}{'.' * 16}", "x" * 483 + "__DOT__" * 16),
    ("dots-beyond-the-room", f"{PAGE}?fbclid={'x' * 483}{'.' * 17}", ""),
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
    ("same-click-percent-encoded-in-the-cookie", "fb.1.1.a%3Ab", "", f"{PAGE}?fbclid=a:b", "", "fb.1.1.a%3Ab"),
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


CAMEL = "IwAR0aBcDeFgHiJkLmNoP_qRs-tUv_aem_AbCdEf"
LANDED = f"fb.1.1700000000000.{CAMEL}"
AT_SHOP = ("t.shop.example", "https://shop.example")
MADE = f"fb.1.{NOW}.42"
# Case, (Host, Origin), cookies, query of the page; fbp, fbc, Domain of the cookies that are set (None: none is set).
TABLE: list[tuple[str, tuple[str, str], str, str, str, str, str | None]] = [
    # Meta's own cases (meta parameter builder), without the appendix that its libraries add.
    ("meta-4-segments", AT_SHOP, "_fbc=fb.1.2.testpayload", "", MADE, "fb.1.2.testpayload", "shop.example"),
    ("meta-2-characters", AT_SHOP, "_fbc=fb.1.2.testpayload.Bg", "", MADE, "fb.1.2.testpayload.Bg", "shop.example"),
    ("meta-8", AT_SHOP, "_fbc=fb.1.2.testpayload.AQQCAQIB", "", MADE, "fb.1.2.testpayload.AQQCAQIB", "shop.example"),
    ("meta-3-segments", AT_SHOP, "_fbc=fb.1.2", "", MADE, "", "shop.example"),
    ("meta-no-payload", AT_SHOP, "_fbc=fb.1.1533706565", "", MADE, "", "shop.example"),
    ("meta-version", AT_SHOP, "_fbc=fb2.1.1533706565.abc", "", MADE, "", "shop.example"),
    ("meta-gclick", AT_SHOP, "_fbc=gclick.1.1533706565.abc", "", MADE, "", "shop.example"),
    ("meta-time-as-word", AT_SHOP, "_fbc=fb.1.pusheen.x", "", MADE, "", "shop.example"),
    ("meta-5-characters", AT_SHOP, "_fbc=fb.1.1533706565.beep.blorp", "", MADE, "", "shop.example"),
    ("meta-unknown-2", AT_SHOP, "_fbc=fb.1.1533706565.beep.AB", "", MADE, "", "shop.example"),
    ("meta-7-characters", AT_SHOP, "_fbc=fb.1.123.abc.invalid", "", MADE, "", "shop.example"),
    ("meta-empty-fbp", AT_SHOP, "_fbp=fb.1.123.", "", MADE, "", "shop.example"),
    ("meta-fb1", AT_SHOP, "_fbc=fb1.1.123.abc", "", MADE, "", "shop.example"),
    ("meta-index-with-letter", AT_SHOP, "_fbp=fb.1b.123.", "", MADE, "", "shop.example"),
    ("meta-time-with-letters", AT_SHOP, "_fbc=fb.1.123aa.abc", "", MADE, "", "shop.example"),
    ("meta-same-click", AT_SHOP, "_fbc=fb.1.123.abc", "?fbclid=abc", MADE, "fb.1.123.abc", "shop.example"),
    (
        "meta-other-click",
        ("a.builder.example.com", "https://builder.example.com"),
        "_fbc=fb.1.123.abc",
        "?fbclid=def",
        MADE,
        f"fb.1.{NOW}.def",
        "example.com",
    ),
    ("meta-ipv4", ("127.0.0.1:8080", "http://127.0.0.1:8080"), "", "?fbclid=a", f"fb.0.{NOW}.42", f"fb.0.{NOW}.a", ""),
    ("meta-ipv6", ("[::1]:8080", "http://[::1]:8080"), "", "?fbclid=a", f"fb.0.{NOW}.42", f"fb.0.{NOW}.a", ""),
    # Our own cases: the id is kept byte for byte.
    ("fbp", AT_SHOP, f"_fbp={FBP}", "", FBP, "", "shop.example"),
    ("fbp-2-characters", AT_SHOP, f"_fbp={FBP}.Ag", "", f"{FBP}.Ag", "", "shop.example"),
    ("fbp-8-characters", AT_SHOP, f"_fbp={FBP}.AQYCAQMA", "", f"{FBP}.AQYCAQMA", "", "shop.example"),
    ("fbp-index-0", AT_SHOP, "_fbp=fb.0.1.2", "", "fb.0.1.2", "", "shop.example"),
    ("fbp-index-of-a-sub-domain", AT_SHOP, "_fbp=fb.2.1.2", "", "fb.2.1.2", "", "shop.example"),
    ("fbp-18-digits", AT_SHOP, f"_fbp=fb.1.1.{'9' * 18}", "", f"fb.1.1.{'9' * 18}", "", "shop.example"),
    ("fbp-leading-zeros", AT_SHOP, "_fbp=fb.1.01.007", "", "fb.1.01.007", "", "shop.example"),
    ("fbp-4-kb", AT_SHOP, f"_fbp=fb.1.1.{'9' * 4096}", "", MADE, "", "shop.example"),
    ("fbp-unicode", AT_SHOP, "_fbp=fb.1.1.\u0431", "", MADE, "", "shop.example"),
    ("fbp-foreign-digits", AT_SHOP, "_fbp=fb.1.\u0661.\u0662", "", MADE, "", "shop.example"),
    ("fbp-second-dot", AT_SHOP, "_fbp=fb.1.1..2", "", MADE, "", "shop.example"),
    ("fbp-final-dot", AT_SHOP, "_fbp=fb.1.1.2.", "", MADE, "", "shop.example"),
    ("fbp-doubled-appendix", AT_SHOP, f"_fbp={FBP}.AQYCAQMA.AQYCAQMA", "", MADE, "", "shop.example"),
    ("fbp-quoted", AT_SHOP, f'_fbp="{FBP}"', "", FBP, "", "shop.example"),
    ("fbp-of-another-case", AT_SHOP, f"_FBP={FBP}", "", MADE, "", "shop.example"),
    ("fbp-with-a-prefix", AT_SHOP, f"x_fbp={FBP}", "", MADE, "", "shop.example"),
    ("fbp-among-others", AT_SHOP, f"a=1;_fbp={FBP};b=2", "", FBP, "", "shop.example"),
    ("fbp-twice", AT_SHOP, f"_fbp={FBP}; _fbp=fb.1.1.2", "", FBP, "", "shop.example"),
    ("fbp-of-a-4-kb-jar", AT_SHOP, f"a={'x' * 4000}; _fbp={FBP}", "", FBP, "", "shop.example"),
    # A click id is never re-stamped, re-cased or invented.
    ("click", AT_SHOP, "", f"?fbclid={CAMEL}", MADE, f"fb.1.{NOW}.{CAMEL}", "shop.example"),
    ("click-kept", AT_SHOP, f"_fbc={LANDED}", "", MADE, LANDED, "shop.example"),
    ("click-again", AT_SHOP, f"_fbc={LANDED}", f"?fbclid={CAMEL}", MADE, LANDED, "shop.example"),
    ("click-again-2", AT_SHOP, f"_fbc={LANDED}.Bg", f"?fbclid={CAMEL}", MADE, f"{LANDED}.Bg", "shop.example"),
    (
        "click-again-8",
        AT_SHOP,
        f"_fbc={LANDED}.AQYAAQMA",
        f"?fbclid={CAMEL}",
        MADE,
        f"{LANDED}.AQYAAQMA",
        "shop.example",
    ),
    (
        "click-in-lower-case",
        AT_SHOP,
        f"_fbc={LANDED}",
        f"?fbclid={CAMEL.lower()}",
        MADE,
        f"fb.1.{NOW}.{CAMEL.lower()}",
        "shop.example",
    ),
    ("click-longer-by-one", AT_SHOP, "_fbc=fb.1.1.abc", "?fbclid=abcd", MADE, f"fb.1.{NOW}.abcd", "shop.example"),
    ("click-like-an-appendix", AT_SHOP, "_fbc=fb.1.1.abc.Bg", "?fbclid=Bg", MADE, f"fb.1.{NOW}.Bg", "shop.example"),
    ("click-with-dots", AT_SHOP, "", "?fbclid=a.b.Bg", MADE, f"fb.1.{NOW}.a__DOT__b__DOT__Bg", "shop.example"),
    (
        "click-with-dots-again",
        AT_SHOP,
        "_fbc=fb.1.1.a__DOT__b",
        "?fbclid=a.b",
        MADE,
        "fb.1.1.a__DOT__b",
        "shop.example",
    ),
    ("click-empty", AT_SHOP, f"_fbc={LANDED}", "?fbclid=", MADE, LANDED, "shop.example"),
    ("click-500", AT_SHOP, "", f"?fbclid={'y' * 500}", MADE, f"fb.1.{NOW}.{'y' * 500}", "shop.example"),
    ("click-501", AT_SHOP, f"_fbc={LANDED}", f"?fbclid={'y' * 501}", MADE, LANDED, "shop.example"),
    ("click-4-kb", AT_SHOP, f"_fbc={LANDED}", f"?fbclid={'y' * 4096}", MADE, LANDED, "shop.example"),
    ("click-unicode", AT_SHOP, "", "?fbclid=кл", MADE, "", "shop.example"),
    ("click-unicode-encoded", AT_SHOP, "", "?fbclid=%D0%BA", MADE, "", "shop.example"),
    ("click-tries-to-set-a-cookie", AT_SHOP, "", "?fbclid=a%3B%20x=1", MADE, "", "shop.example"),
    ("click-quoted", AT_SHOP, "", "?fbclid=%22a%22", MADE, "", "shop.example"),
    ("click-in-the-fragment", AT_SHOP, "", "#fbclid=abc", MADE, f"fb.1.{NOW}.abc", "shop.example"),
    ("fbc-4-kb", AT_SHOP, f"_fbc=fb.1.1.{'y' * 4096}", "", MADE, "", "shop.example"),
    ("fbc-unicode", AT_SHOP, "_fbc=fb.1.1.кл", "", MADE, "", "shop.example"),
    ("fbc-with-a-dot-inside", AT_SHOP, "_fbc=fb.1.1.ab.cd", "", MADE, "", "shop.example"),
    # Domains, by the public suffix list.
    (
        "co.uk",
        ("t.shop.co.uk", "https://www.shop.co.uk"),
        "",
        "?fbclid=a",
        f"fb.2.{NOW}.42",
        f"fb.2.{NOW}.a",
        "shop.co.uk",
    ),
    ("co.uk-itself", ("co.uk", "https://co.uk"), "", "", f"fb.0.{NOW}.42", "", ""),
    ("co.uk-neighbours", ("t.one.co.uk", "https://two.co.uk"), f"_fbp={FBP}", "", MADE, "", None),
    ("com.br", ("t.loja.com.br", "https://loja.com.br"), "", "", f"fb.2.{NOW}.42", "", "loja.com.br"),
    ("github.io", ("t.anna.github.io", "https://anna.github.io"), "", "", f"fb.2.{NOW}.42", "", "anna.github.io"),
    ("github.io-neighbours", ("anna.github.io", "https://berta.github.io"), f"_fbp={FBP}", "", MADE, "", None),
    ("myshopify", ("a.myshopify.com", "https://a.myshopify.com"), "", "", f"fb.2.{NOW}.42", "", "a.myshopify.com"),
    ("kawasaki", ("a.city.kawasaki.jp", "https://city.kawasaki.jp"), "", "", f"fb.2.{NOW}.42", "", "city.kawasaki.jp"),
    ("unknown-ending", ("t.shop.intern", "https://shop.intern"), "", "", MADE, "", "shop.intern"),
    ("deep-host", ("a.b.c.d.shop.example", "https://shop.example"), "", "", MADE, "", "shop.example"),
    ("capitals", ("T.Shop.EXAMPLE", "https://SHOP.example"), f"_fbp={FBP}", "", FBP, "", "shop.example"),
    ("final-dot", ("t.shop.example.", "https://shop.example"), f"_fbp={FBP}", "", FBP, "", "shop.example"),
    ("ports", ("t.shop.example:8443", "https://shop.example:444"), f"_fbp={FBP}", "", FBP, "", "shop.example"),
    (
        "punycode",
        ("t.xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        "",
        "",
        MADE,
        "",
        "xn--bcher-kva.example",
    ),
    ("localhost", ("localhost:8080", "http://localhost:3000"), f"_fbp={FBP}", "", FBP, "", ""),
    ("localhost-new", ("localhost:8080", "http://localhost:3000"), "", "", f"fb.0.{NOW}.42", "", ""),
    ("ip", ("93.184.216.34", "http://93.184.216.34"), f"_fbp={FBP}", "", FBP, "", ""),
    ("ip-neighbours", ("93.184.216.34", "http://93.184.216.35"), f"_fbp={FBP}", "", MADE, "", None),
    ("intranet", ("intranet", "http://intranet"), "", "", f"fb.0.{NOW}.42", "", ""),
    (
        "other-site",
        ("t.agency.example", "https://shop.example"),
        f"_fbp={FBP}",
        "?fbclid=a",
        MADE,
        f"fb.1.{NOW}.a",
        None,
    ),
    ("look-alike", ("t.notshop.example", "https://shop.example"), f"_fbp={FBP}", "", MADE, "", None),
]


def ids(**changes: Any) -> BrowserIds:
    """Choose ids for a page of the shop; ``changes`` replace its hosts, its scheme, its cookies or its own ids."""
    arguments: dict[str, Any] = {"fbp": "", "fbc": "", "url": PAGE, "referrer": "", "now": NOW, "entropy": 42}
    arguments |= {"host": "t.shop.example", "origin_host": "shop.example", "secure": True, "cookie": ""} | changes
    scope = cookie_scope_between(arguments.pop("host"), arguments.pop("origin_host"), secure=arguments.pop("secure"))
    cookies = cookies_of(arguments.pop("cookie"))
    return browser_ids(scope=scope, cookies=cookies, **arguments)


@pytest.mark.parametrize(("authority", "host"), HOSTS)
def test_the_host_is_what_stands_behind_the_scheme(authority: str, host: str) -> None:
    """Neither path, query, user nor another address inside can pose as the host."""
    assert host_of(authority) == host


@pytest.mark.parametrize(("host", "domain"), DOMAINS)
def test_the_registrable_domain_follows_the_public_suffix_list(host: str, domain: str) -> None:
    """Suffixes of registries and of hosters count; addresses and single labels have no domain."""
    assert registrable(host) == domain


@pytest.mark.parametrize(("first_host", "second_host", "expected"), SAME_SITE)
def test_cookies_reach_hosts_of_the_same_registrable_domain(
    first_host: str, second_host: str, *, expected: bool
) -> None:
    """Two hosts are the same site in both directions, or not at all."""
    both_ways = (
        cookie_scope_between(first_host, second_host, secure=True),
        cookie_scope_between(second_host, first_host, secure=True),
    )

    assert [scope.at_home for scope in both_ways] == [expected, expected]


@pytest.mark.parametrize(("header", "cookies"), COOKIES)
def test_cookies_are_read_as_sent(header: str, cookies: dict[str, str]) -> None:
    """A header of any form is read into names and values; of a repeated name the first value counts."""
    assert cookies_of(header) == cookies


@pytest.mark.parametrize(("valid", "value"), WELL_FORMED)
def test_ids_of_four_and_five_segments_stay_byte_for_byte(valid: Any, value: str) -> None:
    """A well-formed id is returned as it is, with an appendix of 2 or 8 characters."""
    assert valid(value) == value


@pytest.mark.parametrize(("valid", "value"), MALFORMED)
def test_malformed_ids_count_as_absent(valid: Any, value: str) -> None:
    """An id that the Pixel would not have written is ignored."""
    assert valid(value) == ""


@pytest.mark.parametrize(("url", "expected"), [row[1:] for row in CLICKS], ids=[row[0] for row in CLICKS])
def test_the_click_id_is_taken_as_the_pixel_takes_it(url: str, expected: str) -> None:
    """The parameter is decoded once, its case is kept and dots are replaced; anything odd is no click id."""
    assert click_id(url) == expected


@pytest.mark.parametrize(
    ("cookie", "body", "url", "referrer", "expected"),
    [row[1:] for row in CLICK_IDS],
    ids=[row[0] for row in CLICK_IDS],
)
def test_a_new_click_replaces_and_the_same_click_keeps_its_time(
    cookie: str, body: str, url: str, referrer: str, expected: str
) -> None:
    """A stored click id keeps its first time until a click id comes that differs, be it only in case."""
    found = ids(cookie=f"_fbc={cookie}", fbc=body, url=url, referrer=referrer)

    assert found.fbc == expected


@pytest.mark.parametrize(
    ("scope", "cookie", "url", "fbp", "fbc", "domain"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_cookie_table(
    scope: tuple[str, str], cookie: str, url: str, *, fbp: str, fbc: str, domain: str | None
) -> None:
    """Each request gets the expected ids, and they are set unchanged as cookies where the page can read those."""
    host, page = map(host_of, scope)
    found = ids(host=host, origin_host=page, cookie=cookie, url=f"{scope[1]}/p{url}", secure=False)

    attributes = "; Max-Age=7776000; Path=/; SameSite=Lax" + (f"; Domain={domain}" if domain else "")
    pairs = [("_fbp", fbp), ("_fbc", fbc)]
    cookies = tuple(f"{name}={value}{attributes}" for name, value in pairs if value and domain is not None)
    assert found == BrowserIds(fbp, fbc, cookies)


@given(st.text() | st.text(alphabet=".%&#?=Aa0-_~:@!", max_size=700).map(lambda click: f"https://a.b/?fbclid={click}"))
def test_a_stored_click_is_known_again(url: str) -> None:
    """The ``fbc`` made of any address is well-formed, and the same address keeps its time when it is read again."""
    first = ids(url=url).fbc
    again = ids(url=url, cookie=f"_fbc={first}", now=NOW + 1).fbc

    assert (valid_fbc(first), again) == (first, first)


def test_two_first_hits_at_once_end_with_one_fbp() -> None:
    """The page makes its id before it sends, so two requests without cookies have the same, and both answers set it."""
    found = [ids(fbp=FBP, entropy=entropy, now=NOW + entropy) for entropy in (1, 2)]

    assert found[0] == found[1] == ids(fbp=FBP)


def test_two_images_at_once_end_with_one_fbp() -> None:
    """Without script each answer makes an id; the next visit has only the one that the browser kept last."""
    cookies = [ids(entropy=entropy).cookies[0].partition(";")[0] for entropy in (1, 2)]

    assert cookies[0] != cookies[1]
    assert ids(cookie=cookies[1], entropy=3).fbp == f"fb.1.{NOW}.2"


@pytest.mark.parametrize(
    ("changes", "sent", "cookies"),
    [
        ({}, (FBP, OLD), []),
        ({"fbp": "fb.1.1.2"}, ("fb.1.1.2", OLD), ["_fbp=fb.1.1.2"]),
        ({"fbc": "fb.1.1.x"}, (FBP, "fb.1.1.x"), ["_fbc=fb.1.1.x"]),
        ({"cookie": f"_fbp={FBP}; _fbc={OLD}"}, (FBP, OLD), [f"_fbp={FBP}", f"_fbc={OLD}"]),
        ({"url": f"{PAGE}?fbclid=abc"}, (FBP, OLD), []),
        ({"url": f"{PAGE}?fbclid=def"}, (FBP, f"fb.1.{NOW}.def"), [f"_fbc=fb.1.{NOW}.def"]),
        ({"fbc": f"fb.1.{NOW}.abc", "url": f"{PAGE}?fbclid=abc"}, (FBP, f"fb.1.{NOW}.abc"), [f"_fbc=fb.1.{NOW}.abc"]),
    ],
)
def test_nothing_comes_back_from_the_visitor_cookie(
    changes: dict[str, str], sent: tuple[str, str], cookies: list[str]
) -> None:
    """The visitor cookie's ids are used where cookies and address name none, and are never set as cookies."""
    found = ids(stored_fbp=FBP, stored_fbc=OLD, **changes)

    assert (found.fbp, found.fbc) == sent
    assert [cookie.partition(";")[0] for cookie in found.cookies] == cookies


@pytest.mark.parametrize(("host", "page", "index"), INDEXES)
def test_the_index_counts_the_labels_of_the_cookie_domain(host: str, page: str, index: int) -> None:
    """The index of a new id is the depth of its cookie's domain, 1 if no cookie is set, 0 without a domain."""
    found = ids(host=host, origin_host=page, url=f"{PAGE}?fbclid=def")

    assert (found.fbp, found.fbc) == (f"fb.{index}.{NOW}.42", f"fb.{index}.{NOW}.def")


@pytest.mark.parametrize(
    ("entropy", "random"),
    [(0, "0"), (7, "7"), (10**18 - 1, "9" * 18), (10**18, "0"), (2**128 - 1, str((2**128 - 1) % 10**18))],
)
def test_a_new_fbp_has_at_most_18_random_digits(entropy: int, random: str) -> None:
    """The random part is no longer than the Pixel's, however much entropy is given, and the id is well-formed."""
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
    """Where page and proxy share a domain, the cookie is used, else the body's id, else a new one."""
    assert ids(cookie=f"_fbp={cookie}", fbp=body).fbp == expected


@pytest.mark.parametrize(
    ("cookie", "body", "expected"), [(FBP, "", f"fb.1.{NOW}.42"), ("", FBP, FBP), ("fb.1.1.2", FBP, FBP)]
)
def test_body_beats_cookie_across_sites(cookie: str, body: str, expected: str) -> None:
    """On a proxy of another domain, cookies are ignored as those of another site; the body's id counts."""
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
    assert expire_browser_ids(cookie_scope_between("t.shop.co.uk", "shop.co.uk", secure=True)) == (
        "_fbp=; Max-Age=0; Path=/; SameSite=Lax; Domain=shop.co.uk; Secure",
        "_fbc=; Max-Age=0; Path=/; SameSite=Lax; Domain=shop.co.uk; Secure",
    )
    assert expire_browser_ids(cookie_scope_between("localhost", "localhost", secure=False)) == (
        "_fbp=; Max-Age=0; Path=/; SameSite=Lax",
        "_fbc=; Max-Age=0; Path=/; SameSite=Lax",
    )


def test_set_cookie_writes_what_it_is_told() -> None:
    """The caller decides the life-time, the domain, Secure and HttpOnly."""
    bare, full = CookieScope(True, "", False), CookieScope(True, "shop.example", True)

    assert set_cookie("a", "b", bare, seconds=5) == "a=b; Max-Age=5; Path=/; SameSite=Lax"
    assert set_cookie("a", "b", full, seconds=5, http_only=True) == (
        "a=b; Max-Age=5; Path=/; SameSite=Lax; Domain=shop.example; Secure; HttpOnly"
    )


NAMES = ("_fbp", "_fbc", "heahqpmz")
PARTS = st.sampled_from(
    [*NAMES, "x_fbp", "_fbp ", " _fbc", "_fb", "a", "", "heahqpm", "=", ";", "; ", ";  ", " ", "\t", '"', "é"]
)


@given(st.lists(PARTS | st.text(max_size=3), max_size=12).map("".join) | st.lists(PARTS, max_size=6).map("=1; ".join))
def test_the_cookies_that_count_are_read_as_if_all_were(header: str) -> None:
    """The quick reader of some cookies agrees with the reader of all, whatever surrounds or repeats them."""
    every = cookies_of(header)

    assert named_cookies(header, pattern_of(NAMES)) == {name: every[name] for name in NAMES if name in every}


@pytest.mark.parametrize("before", [0, 398, 399, 400, 401])
def test_a_cookie_behind_the_last_that_is_read_is_none(before: int) -> None:
    """Both readers stop after the same number of cookies, 400."""
    header = "a=1; " * before + f"_fbp={FBP}"

    assert (
        named_cookies(header, pattern_of(NAMES)).get("_fbp")
        == cookies_of(header).get("_fbp")
        == (FBP if before < 400 else None)
    )
