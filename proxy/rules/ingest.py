"""The hot path as a pure function: ``Facts`` of a request → ``Outcome``.

Nothing here touches a socket, a clock or a disk, so the HTTP front can be exchanged without touching a rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from proxy.model import Consent, Event, Facts, Fate, Hit, Outcome, Visit
from proxy.rules import address, capi, consent, identity, intake, memory, pii
from proxy.rules.bots import bot_reason
from proxy.rules.enrich import Context, enrich
from proxy.rules.keeper import MAX_AGE_S, NOTHING, Keeper, KeeperKeys, renewed
from proxy.settings import Site


@dataclass(frozen=True, slots=True)
class Policy:
    """What the rules need of the configuration for one site."""

    site: Site
    trusted: Sequence[address.Network]
    keys: KeeperKeys
    client_ip_header: str = "X-Forwarded-For"


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
    client = address.client(
        facts.peer, facts.forwarded, policy.trusted, header=policy.client_ip_header, pseudo=facts.forwarded_pseudo
    )
    context = _context(visit, _believed(facts, client), policy, client.address)
    events, dropped = [], []
    for result in enrich(context):
        if isinstance(result, Event):
            events.append(capi.record(result))
        else:
            dropped.append(result)
    status, body = _answer(visit)
    return Outcome(
        status=status,
        body=body,
        cookies=_cookies(context, policy),
        records=tuple(events),
        dropped=tuple(dropped),
        refused=len(visit.refused),
        fates=visit.fates,
        pixels=tuple(pixel.id for pixel in policy.site.pixel),
        misdirected=client.misdirected,
    )


def _context(visit: Visit, facts: Facts, policy: Policy, sender: str) -> Context:
    site = policy.site
    where, cookies = _place(facts), identity.cookies_of(facts.cookie)
    kept = policy.keys.find(cookies, site.name, now=facts.now) if where.at_home else None
    ids = _ids(visit, facts, where, cookies, kept or NOTHING)
    gpc = consent.signals_gpc(facts.gpc, visit)
    bot = None if site.bots == "ignore" else bot_reason(facts.user_agent, webdriver=visit.webdriver)
    located = address.is_public(sender)
    return Context(
        site=site,
        facts=facts,
        visit=visit,
        ids=ids,
        address=sender if located else "",
        options=consent.options(site, visit, gpc=gpc),
        bot=bot,
        forbidden=consent.forbids(site, visit, gpc=gpc, located=located, bot=bot is not None),
        where=where,
        keeper=_renewed(kept or NOTHING, visit, ids, facts, policy) if where.at_home else NOTHING,
    )


def _believed(facts: Facts, client: address.Client) -> Facts:
    """Take host and scheme from a trusted proxy, which saw the visitor's own request."""
    if not client.believed:
        return facts
    host = facts.forwarded_host.rpartition(",")[2].strip() or facts.host
    proto = facts.forwarded_proto.rpartition(",")[2].strip().lower()
    return replace(facts, host=host, secure=facts.secure or proto == "https")


def _place(facts: Facts) -> identity.Place:
    """A browser lets an https page reach https only, so the origin's scheme tells, whatever a proxy in front says."""
    page = facts.origin or facts.referer
    secure = facts.secure or page.startswith("https://")
    return identity.place(identity.host_of(facts.host), identity.host_of(page), secure=secure)


def _ids(
    visit: Visit, facts: Facts, where: identity.Place, cookies: Mapping[str, str], kept: Keeper
) -> identity.BrowserIds:
    return identity.browser_ids(
        where=where,
        cookies=cookies,
        fbp=visit.fbp,
        fbc=visit.fbc,
        url=visit.url,
        referrer=visit.referrer,
        now=facts.now,
        entropy=facts.entropy,
        kept_fbp=kept.fbp,
        kept_fbc=kept.fbc,
    )


def _renewed(kept: Keeper, visit: Visit, ids: identity.BrowserIds, facts: Facts, policy: Policy) -> Keeper:
    visitor = (kept.visitor or policy.keys.new_visitor(facts.entropy)) if policy.site.visitor_id else ""
    keeper = renewed(kept, visitor, ids, consent=visit.consent, now=facts.now)
    if not policy.site.remember_match or policy.site.sensitive == "restricted":
        return memory.forgotten(keeper)
    country = policy.site.country.lower()
    given = (pii.match_keys(visit.match.get(pixel.id, {}), country=country).hashed for pixel in policy.site.pixel)
    return memory.remembered(keeper, memory.together(given), now=facts.now)


def _cookies(context: Context, policy: Policy) -> tuple[str, ...]:
    """Keep the ids, end them after a withdrawal, and touch nothing for a visit that may not be measured."""
    revoked = context.visit.consent is Consent.REVOKED
    if not context.where.at_home or (context.forbidden and not revoked):
        return ()
    if revoked:
        return (*identity.forget_cookies(context.where), *_withdrawn(context, policy))
    return (*context.ids.cookies, _keeper_cookie(context.keeper, context, policy))


def _withdrawn(context: Context, policy: Policy) -> tuple[str, ...]:
    """End the keeper, under each of its names; an opt-out alone stays."""
    names = policy.keys.names(policy.site.name)
    ended = tuple(identity.set_cookie(name, "", context.where, seconds=0, http_only=True) for name in names)
    if not context.keeper.opted_out:
        return ended
    return (_keeper_cookie(Keeper(opted_out=True), context, policy), *ended[1:])


def _keeper_cookie(keeper: Keeper, context: Context, policy: Policy) -> str:
    site, facts = policy.site.name, context.facts
    value = policy.keys.seal(keeper, site, now=facts.now, entropy=facts.entropy)
    return identity.set_cookie(policy.keys.names(site)[0], value, context.where, seconds=MAX_AGE_S, http_only=True)


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
