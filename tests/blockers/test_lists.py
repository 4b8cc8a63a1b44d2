"""The proxy's addresses, checked by uBlock Origin's own engine with the filter lists of its Debian package."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from string import ascii_lowercase, digits

from firefox import UBLOCK

from proxy.doctor.listed_addresses import FETCH, IMAGE, SCRIPT, match
from proxy.model.keys import prefix_of

ENGINE = Path(__file__).with_name("engine.mjs")
SUFFIXES = Path("/usr/share/publicsuffix/public_suffix_list.dat")
# Not a list of filters, but of list addresses that the blocker warns of.
NO_LIST = "badlists.txt"

INSTALLATIONS = 1000
DOMAINS = tuple(
    f"acmeshop.{end}"
    for end in "example com net org io shop de fr jp co.jp co.uk com.br cn ru".split()  # noqa: SIM905
)
OURS = {"m.js": "script", "e": "xmlhttprequest", "n.gif": "image", "c": "xmlhttprequest"}

# Page, address, type of request
Request = tuple[str, str, str]


def ask(requests: Sequence[Request]) -> list[str | None]:
    """Return for each request the rule that decides about it, or None."""
    node = shutil.which("node")
    assert node, "node is missing: run `make unit`, which installs it"
    lists = sorted(path for path in UBLOCK.glob("assets/**/*.txt") if path.name != NO_LIST)
    assert lists, "webext-ublock-origin-firefox is missing: run `make unit`, which installs it"
    assert SUFFIXES.exists(), "publicsuffix is missing: run `make unit`, which installs it"
    process = subprocess.run(
        [node, ENGINE, SUFFIXES, *lists],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        check=False,
        cwd=ENGINE.parent,
    )
    assert (process.returncode, process.stderr) == (0, "")
    rules: list[str | None] = json.loads(process.stdout)
    assert len(rules) == len(requests)
    return rules


def matched(requests: Sequence[Request]) -> list[tuple[str, str | None]]:
    """Return the addresses about which a rule decides, each with the rule."""
    return [(request[1], rule) for request, rule in zip(requests, ask(requests), strict=True) if rule]


def both(domain: str, path: str, kind: str) -> Iterable[Request]:
    """Yield a path as a request to a page's own host, and as one to a sub-domain of it."""
    for host in ("www", "t"):
        yield (f"https://www.{domain}/product", f"https://{host}.{domain}{path}", kind)


def test_no_rule_knows_us() -> None:
    """For 1,000 installations, on a path and on a sub-domain, under 14 suffixes, no list has a rule for an address."""
    prefixes = {prefix_of(f"the secret of installation {number}", "shop") for number in range(INSTALLATIONS)}
    requests = [
        request
        for prefix in prefixes
        for domain in DOMAINS
        for leaf, kind in OURS.items()
        for request in both(domain, f"{prefix}/{leaf}", kind)
    ]

    assert len(requests) == INSTALLATIONS * len(DOMAINS) * len(OURS) * 2
    assert matched(requests) == []


def test_the_rules_are_at_work() -> None:
    """The Pixel's own addresses, and names we warn of, are matched on either host of each domain."""
    controls = [
        ("/fbevents.js", "script"),
        ("/en_US/fbevents.js", "script"),
        ("/tr?id=1&ev=PageView&dl=x", "xmlhttprequest"),
        ("/tr?id=1&ev=PageView&noscript=1", "image"),
        ("/k7f2q9w3/gtm.js", "script"),
        ("/k7f2q9w3/advert.gif", "image"),
        ("/api/collect", "xmlhttprequest"),
    ]
    requests = [request for domain in DOMAINS for control in controls for request in both(domain, *control)]

    assert [request for request, rule in zip(requests, ask(requests), strict=True) if not rule] == []


def test_a_sub_domain_is_no_stranger() -> None:
    """Beacons to another site are matched and those to a sub-domain are not, under every suffix."""
    beacons: list[Request] = [
        (f"https://www.{domain}/", f"https://t.{target}/k7f2q9w3/e", "ping")
        for domain in DOMAINS
        for target in (domain, domain.replace("acme", "other"))
    ]
    rules = ask(beacons)

    assert rules[::2] == [None] * len(DOMAINS)
    assert None not in rules[1::2]


# Words of the field and of shops, which an owner might choose.
WORDS = """
    a activity ad ads adserver adv advert affiliate amplitude analytics api app audience b beacon blog cart checkout
    clarity click clickstream collect conversion cookie count counter criteo data e event events facebook fb fbevents
    fbpixel fbq fingerprint ga ga2 garden geo go gpt gtag gtm heartbeat hit hotjar i i2a id image img impression info
    insight js lead link loader log m main marketing matomo measure meta metrics mixpanel n newrelic o omniture order
    outbrain p page pageview pageviews ping piwik pixel plausible popup prebid profile promo px q r rec referrer report
    rum s script sdk segment send service session shop site snowplow spacer sponsor stat static stats statsd store sync
    t taboola tag tags telemetry thanks tool tr track tracker tracking trk u umami user utag utm v v1 view visit visitor
    w web x xtcore 1x1
""".split()  # noqa: SIM905
SHORT = [a + b for a in ascii_lowercase + digits for b in ("", *ascii_lowercase, *digits)]
KINDS = {"script": SCRIPT, "xmlhttprequest": FETCH, "image": IMAGE}
# Lists in the table of the proxy that the package does not have.
ELSEWHERE = {"AdGuard", "AdGuard or Brave"}


def addresses() -> Iterable[tuple[str, str]]:
    """Yield path and type of requests: each word as each kind of name, alone and in pairs of directory and name."""
    for word in (*WORDS, *SHORT, "open"):
        yield from ((f"/{word}/{leaf}", kind) for leaf, kind in OURS.items())
        yield from ((f"/k7f2q9w3/{word}{end}", "script") for end in (".js", ".min.js", ""))
        yield from ((f"/k7f2q9w3/{word}{end}", "image") for end in (".gif", ".png", ""))
        yield f"/k7f2q9w3/{word}", "xmlhttprequest"
    for directory, word in product(WORDS, WORDS):
        yield f"/{directory}/{word}.js", "script"
        yield f"/{directory}/{word}.gif", "image"
        yield f"/{directory}/{word}", "xmlhttprequest"


def test_check_tells_what_the_lists_say() -> None:
    """For addresses made of these words, alone and in pairs, ``check`` reports those that a list matches."""
    requests = [request for path, kind in addresses() for request in both("acmeshop.com", path, kind)]
    rules = dict(zip(requests, ask(requests), strict=True))
    told = {request: match(KINDS[kind], *split(address)) for request in rules for _, address, kind in [request]}

    missed = {request[1:]: rule for request, rule in rules.items() if rule and not told[request]}
    invented = {
        request[1]: listed
        for request, listed in told.items()
        if listed and not rules[request] and listed.lists not in ELSEWHERE
    }
    assert sum(rule is not None for rule in rules.values()) > 1000
    assert missed == {}
    assert invented == {}


def split(address: str) -> tuple[str, str]:
    """Return the host and the path of an address."""
    host, slash, path = address.removeprefix("https://").partition("/")
    return host, slash + path
