"""The hot path as a pure function: ``Facts`` of a request → ``Outcome``.

Nothing here touches a socket, a clock or a disk, so the HTTP front can be exchanged without touching a rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from proxy.model import Consent, DropReason, Event, Facts, Fate, Hit, Outcome, Visit
from proxy.rules import capi, consent, identity, intake
from proxy.rules.bots import bot_reason
from proxy.rules.enrich import Context, enrich
from proxy.rules.keeper import MAX_AGE_S, NOTHING, Keeper, KeeperKeys, renewed
from proxy.rules.people import digests
from proxy.rules.raw import sha256
from proxy.settings import Site


@dataclass(frozen=True, slots=True)
class Policy:
    """What the rules need of the configuration for one site."""

    site: Site
    trusted: Sequence[identity.Network]
    keys: KeeperKeys
    people_keys: Sequence[bytes] = ()
    """Under which people have digests, the current one first."""


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
    context = _context(visit, believed(facts, policy), policy, client.address)
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
        opted_out=person(context.kept, policy) if visit.consent is Consent.REVOKED else (),
        records=tuple(events),
        dropped=tuple(dropped),
        refused=len(visit.refused),
        fates=visit.fates,
        pixels=tuple(pixel.id for pixel in policy.site.pixel),
        misdirected=client.misdirected,
    )


def _context(visit: Visit, facts: Facts, policy: Policy, address: str) -> Context:
    site = policy.site
    kept = kept_by(facts, policy)
    ids = _ids(visit, facts, kept)
    gpc = consent.signals_gpc(facts.gpc, visit)
    bot = None if site.bots == "ignore" else _bot(visit, facts)
    located = identity.is_public(address)
    return Context(
        site=site,
        facts=facts,
        visit=visit,
        ids=ids,
        address=address if located else "",
        options=consent.options(site, visit, gpc=gpc),
        bot=bot,
        forbidden=consent.forbids(
            *(site, visit, kept),
            gpc=gpc,
            dnt=consent.signals_dnt(facts.dnt),
            located=located,
            bot=bot is not None,
        ),
        kept=kept,
        people_keys=policy.people_keys,
        keeper=_renewed(kept, visit, ids, facts, policy) if is_at_home(facts) else kept,
    )


def _bot(visit: Visit, facts: Facts) -> str | None:
    return bot_reason(facts.user_agent, webdriver=visit.webdriver, brands=facts.brands, platform=facts.platform)


def believed(facts: Facts, policy: Policy) -> Facts:
    """Take host and scheme from a trusted proxy, which saw the visitor's own request."""
    if not identity.is_trusted(facts.peer, policy.trusted):
        return facts
    host = identity.believed_host(facts.host, facts.forwarded_host, facts.peer, policy.trusted)
    proto = facts.forwarded_proto.rpartition(",")[2].strip().lower()
    return replace(facts, host=host, secure=facts.secure or proto == "https")


def kept_by(facts: Facts, policy: Policy) -> Keeper:
    """Return what the browser's keeper holds; a cookie of another site is none of ours."""
    jar = identity.cookies_of(facts.cookie) if facts.cookie and is_at_home(facts) else {}
    return policy.keys.find(jar, policy.site.name, now=facts.now) or NOTHING


def _renewed(kept: Keeper, visit: Visit, ids: identity.BrowserIds, facts: Facts, policy: Policy) -> Keeper:
    visitor = (kept.visitor or policy.keys.new_visitor(facts.entropy)) if policy.site.visitor_id else ""
    return renewed(kept, visitor, ids, consent=visit.consent, now=facts.now)


def is_at_home(facts: Facts) -> bool:
    """Tell whether page and proxy share their cookies."""
    return identity.same_site(identity.host_of(facts.host), _page_host(facts))


def _page_host(facts: Facts) -> str:
    return identity.host_of(facts.origin or facts.referer)


def _ids(visit: Visit, facts: Facts, kept: Keeper) -> identity.BrowserIds:
    return identity.browser_ids(
        cookie=facts.cookie,
        fbp=visit.fbp,
        fbc=visit.fbc,
        url=visit.url,
        referrer=visit.referrer,
        host=identity.host_of(facts.host),
        origin_host=_page_host(facts),
        secure=_is_secure(facts),
        now=facts.now,
        entropy=facts.entropy,
        kept_fbp=kept.fbp,
        kept_fbc=kept.fbc,
    )


def _is_secure(facts: Facts) -> bool:
    """A browser lets an https page reach https only, so the origin's scheme tells, whatever a proxy in front says."""
    return facts.secure or (facts.origin or facts.referer).startswith("https://")


def _cookies(context: Context, policy: Policy) -> tuple[str, ...]:
    """Keep the ids, end them after a withdrawal, and touch nothing for a visit that may not be measured."""
    facts, kept = context.facts, context.kept
    if not is_at_home(facts):
        return ()
    if context.visit.consent is Consent.REVOKED:
        return forget(replace(kept, consent=Consent.REVOKED), facts, policy)
    if context.forbidden:
        # Browsers end any cookie after 400 days; an opt-out shall not end for somebody who comes more often.
        return (keeper_cookie(kept, facts, policy),) if context.forbidden is DropReason.OPTED_OUT else ()
    return (*context.ids.cookies, keeper_cookie(context.keeper, facts, policy))


def person(kept: Keeper, policy: Policy) -> tuple[bytes, ...]:
    """Return the digests, under the current key, of whom a keeper knows; what a page merely claims marks nobody."""
    visitor = {"external_id": (*kept.match.get("external_id", ()), sha256(kept.visitor))} if kept.visitor else {}
    return digests({**kept.match, **visitor, "fbp": kept.fbp}, policy.people_keys[:1])


def forget(kept: Keeper, facts: Facts, policy: Policy) -> tuple[str, ...]:
    """Return the cookies that end all ids; what was said about consent and opt-out stays."""
    words = Keeper(consent=kept.consent, opted_out=kept.opted_out)
    ids = identity.forget_cookies(identity.host_of(facts.host), secure=_is_secure(facts))
    old_names = policy.keys.names(policy.site.name)[1:]
    ended = tuple(_http_cookie(name, "", facts, seconds=0) for name in old_names)
    return (*ids, keeper_cookie(words, facts, policy), *ended)


def keeper_cookie(keeper: Keeper, facts: Facts, policy: Policy) -> str:
    """Return the cookie that keeps what we know of a browser."""
    site = policy.site.name
    value = policy.keys.seal(keeper, site, now=facts.now, entropy=facts.entropy)
    return _http_cookie(policy.keys.names(site)[0], value, facts, seconds=MAX_AGE_S)


def _http_cookie(name: str, value: str, facts: Facts, *, seconds: int) -> str:
    domain = identity.registrable(identity.host_of(facts.host))
    return identity.set_cookie(name, value, domain, secure=_is_secure(facts), seconds=seconds, http_only=True)


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
