"""The hot path as a pure function: ``Facts`` of a request → ``Outcome``.

Nothing here touches a socket, a clock or a disk, so the HTTP front can be exchanged without touching a rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from proxy.model import Consent, Event, Facts, Fate, Hit, Outcome, Redaction, Visit
from proxy.rules import capi, consent, identity, intake
from proxy.rules.bots import bot_reason
from proxy.rules.enrich import Context, enrich
from proxy.settings import Site


@dataclass(frozen=True, slots=True)
class Policy:
    """What the rules need of the configuration for one site."""

    site: Site
    trusted: Sequence[identity.Network]


def ingest(facts: Facts, policy: Policy) -> Outcome:
    """Judge one request to the collect address."""
    try:
        visit = intake.visit(facts.body)
    except intake.Malformed as error:
        return Outcome(413 if len(facts.body) > intake.MAX_BODY else 400, problem(str(error)))
    return _outcome(visit, facts, policy)


def ingest_image(facts: Facts, policy: Policy) -> Outcome:
    """Judge one request to the ``<noscript>`` image: a PageView of the page named by the Referer, for every pixel."""
    pixels = tuple(pixel.id for pixel in policy.site.pixel)
    hit = Hit("PageView", f"{facts.entropy:032x}", facts.now, pixels, {}, Fate.PENDING)
    return _outcome(Visit(sent=facts.now, url=facts.referer, hits=(hit,)), facts, policy)


def problem(why: str) -> bytes:
    """Return the JSON body of a refusal."""
    return orjson.dumps({"error": why})


def belongs(site: Site, host: str) -> bool:
    """Tell whether pages on this host may send to the site: its domains and their sub-domains."""
    return home(site, host) != ""


def home(site: Site, host: str) -> str:
    """Return the most specific domain of a site that a host is, or is a sub-domain of; else nothing."""
    return max(
        (domain for domain in site.domains if host == domain or host.endswith("." + domain)), key=len, default=""
    )


def _outcome(visit: Visit, facts: Facts, policy: Policy) -> Outcome:
    client = identity.client(facts.peer, facts.forwarded, policy.trusted)
    context = _context(visit, _believed(facts, policy), policy.site, client.address)
    events, dropped = [], []
    redactions: list[Redaction] = []
    for result in enrich(context):
        if isinstance(result, Event):
            events.append(capi.record(result))
            redactions += result.redactions
        else:
            dropped.append(result)
    status, body = _answer(visit)
    return Outcome(
        status=status,
        body=body,
        cookies=_cookies(context),
        records=tuple(events),
        dropped=tuple(dropped),
        refused=len(visit.refused),
        fates=visit.fates,
        pixels=tuple(pixel.id for pixel in policy.site.pixel),
        redactions=tuple(redactions),
        misdirected=client.misdirected,
    )


def _context(visit: Visit, facts: Facts, site: Site, address: str) -> Context:
    gpc = consent.signals_gpc(facts.gpc, visit)
    bot = None if site.bots == "ignore" else bot_reason(facts.user_agent, webdriver=visit.webdriver)
    located = identity.is_public(address)
    return Context(
        site=site,
        facts=facts,
        visit=visit,
        ids=_ids(visit, facts),
        address=address if located else "",
        options=consent.options(site, visit, gpc=gpc),
        bot=bot,
        forbidden=consent.forbids(site, visit, gpc=gpc, located=located, bot=bot is not None),
    )


def _believed(facts: Facts, policy: Policy) -> Facts:
    """Take host and scheme from a trusted proxy, which saw the visitor's own request."""
    says_something = facts.forwarded_host or facts.forwarded_proto
    if not says_something or not identity.is_trusted(facts.peer, policy.trusted):
        return facts
    host = identity.believed_host(facts.host, facts.forwarded_host, facts.peer, policy.trusted)
    proto = facts.forwarded_proto.rpartition(",")[2].strip().lower()
    return replace(facts, host=host, secure=facts.secure or proto == "https")


def _ids(visit: Visit, facts: Facts) -> identity.BrowserIds:
    return identity.browser_ids(
        cookie=facts.cookie,
        fbp=visit.fbp,
        fbc=visit.fbc,
        url=visit.url,
        referrer=visit.referrer,
        host=identity.host_of(facts.host),
        origin_host=identity.host_of(facts.origin or facts.referer),
        secure=_is_secure(facts),
        now=facts.now,
        entropy=facts.entropy,
    )


def _is_secure(facts: Facts) -> bool:
    """A browser lets an https page reach https only, so the origin's scheme tells, whatever a proxy in front says."""
    return facts.secure or (facts.origin or facts.referer).startswith("https://")


def _cookies(context: Context) -> tuple[str, ...]:
    """Keep the ids, end them after a withdrawal, and touch nothing for a visit that may not be measured."""
    if context.visit.consent is not Consent.REVOKED:
        return () if context.forbidden else context.ids.cookies
    facts = context.facts
    host, page = identity.host_of(facts.host), identity.host_of(facts.origin or facts.referer)
    return identity.forget_cookies(host, secure=_is_secure(facts)) if identity.same_site(host, page) else ()


def _answer(visit: Visit) -> tuple[int, bytes]:
    """204 when every event was taken or knowingly dropped, 200 names the refused, 400 when all of them were."""
    if not visit.refused:
        return 204, b""
    refused: list[Mapping[str, Any]] = [
        {"index": refusal.index, "id": refusal.id, "why": refusal.why} for refusal in visit.refused
    ]
    if visit.hits:
        return 200, orjson.dumps({"refused": refused})
    return 400, orjson.dumps({"error": "every event is wrong", "refused": refused[:20]})
