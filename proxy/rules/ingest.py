"""The hot path, pure: ``Facts`` of a request → ``Outcome``, in parts if it is large.

Nothing here touches a socket, a clock or a disk, so the HTTP front can be exchanged without touching a rule.
"""

from collections.abc import Mapping, Sequence

import orjson

from proxy.model import Consent, DropReason, Facts, Fate, Hit, Outcome, Refusal, Visit
from proxy.rules import address, consent, identity, intake, limits
from proxy.rules.bots import bot_reason
from proxy.rules.effort import Effort, Parts, whole
from proxy.rules.enrich import Context, visitor_of
from proxy.rules.events import written
from proxy.rules.faults import fault
from proxy.rules.keeper import Keeper
from proxy.rules.labels import public_news
from proxy.rules.visitor import Policy, forget, keeper_cookie, kept_by, kept_from_now, place_of, proven
from proxy.settings import Site


def ingest(facts: Facts, policy: Policy, client: address.Client | None = None) -> Outcome:
    """Judge one request to the collect address at a stretch; see ``ingest_parts``."""
    return whole(ingest_parts(facts, policy, client))


def ingest_parts(facts: Facts, policy: Policy, client: address.Client | None = None) -> Parts[Outcome]:
    """Judge one request to the collect address; nothing raises.

    Args:
        facts: The request.
        policy: What the configuration says of its site.
        client: Who asks, where the door has found out already.
    """
    try:
        return (yield from _outcome(intake.visit(facts.body), facts, policy, client))
    except intake.Malformed as error:
        return Outcome(413 if len(facts.body) > limits.BODY else 400, problem(str(error)))
    except Exception as error:  # noqa: BLE001 - sent again it would fail again, so the tag is told to give up
        return Outcome(400, problem("cannot be read"), faults=(fault(error),))


def ingest_image(facts: Facts, policy: Policy, client: address.Client | None = None) -> Outcome:
    """Judge one request to the ``<noscript>`` image: a PageView of the page named by the Referer, for every pixel.

    Args:
        facts: The request.
        policy: What the configuration says of its site.
        client: Who asks, where the door has found out already.
    """
    pixels = tuple(pixel.id for pixel in policy.site.pixel)
    hit = Hit("PageView", f"{facts.entropy:032x}", facts.now, pixels, {}, Fate.PENDING)
    url, findings = intake.address(facts.referer, "event_source_url")
    try:
        return whole(_outcome(Visit(sent=facts.now, url=url, hits=(hit,), findings=findings), facts, policy, client))
    except Exception as error:  # noqa: BLE001 - as above
        return Outcome(400, problem("cannot be read"), faults=(fault(error),))


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


def _outcome(visit: Visit, facts: Facts, policy: Policy, known: address.Client | None) -> Parts[Outcome]:
    visit, facts = _bounded(visit, facts)
    client = known or address.client(
        facts.peer, facts.forwarded, policy.trusted, header=policy.client_ip_header, pseudo=facts.forwarded_pseudo
    )
    context = _context(visit, facts, policy, client)
    events = yield from written(context)
    refused = _in_order(visit.refused, events.refused) if visit.refused or events.refused else ()
    status, body = 204, b""
    if refused:
        status, body = _answer(refused, visit.surplus, all_wrong=len(events.refused) == len(visit.hits))
    return Outcome(
        status=status,
        body=body,
        cookies=_cookies(context, policy),
        withdrawn=proven(context.kept, policy)[:1] if visit.consent is Consent.REVOKED else (),
        granted=proven(context.kept, policy) if visit.consent is Consent.GRANTED and not context.forbidden else (),
        records=tuple(events.records),
        dropped=tuple(events.dropped),
        refused=len(refused) + visit.surplus,
        unknown_pixels=events.unknown_pixels,
        fates=public_news(visit.fates, context.effort) if visit.fates else (),
        visitors=_visitors(context) if visit.fates else (),
        pixels=tuple([pixel.id for pixel in policy.site.pixel]),
        redactions=tuple(events.redactions),
        misdirected=client.misdirected,
        faults=tuple(events.faults),
    )


def _in_order(unread: Sequence[Refusal], unwritten: Sequence[Refusal]) -> Sequence[Refusal]:
    return sorted([*unread, *unwritten], key=lambda refusal: refusal.index) if unwritten else unread


def _bounded(visit: Visit, facts: Facts) -> tuple[Visit, Facts]:
    """Cut the headers that are longer than they are read; of a forwarding list a stranger wrote the left end."""
    if len(facts.forwarded) > limits.ADDRESS:
        facts = facts._replace(forwarded=limits.cut_list(facts.forwarded))
    if len(facts.user_agent) > limits.USER_AGENT:
        facts = facts._replace(user_agent=facts.user_agent[: limits.USER_AGENT])
        visit = visit._replace(findings=(*visit.findings, "client_user_agent:cut"))
    return visit, facts


def _context(visit: Visit, facts: Facts, policy: Policy, client: address.Client) -> Context:
    site, effort = policy.site, Effort()
    where, cookies = place_of(facts, believed=client.believed), identity.cookies_of(facts.cookie)
    kept, sealed = kept_by(facts, where, cookies, policy)
    ids = _ids(visit, facts, where, cookies, kept)
    gpc = consent.signals_gpc(facts.gpc, visit)
    bot = None if site.bots == "ignore" else _bot(visit, facts)
    address_sent = client.address if client.public else ""
    return Context(
        site=site,
        facts=facts,
        visit=visit,
        ids=ids,
        address=address_sent,
        options=consent.options(site, visit, gpc=gpc),
        bot=bot,
        forbidden=consent.forbids(
            *(site, visit, kept),
            gpc=gpc,
            dnt=consent.signals_dnt(facts.dnt),
            located=client.public,
            bot=bot is not None,
        ),
        where=where,
        effort=effort,
        visitor=visitor_of(visit.fbp or cookies.get("_fbp", ""), address_sent, facts.user_agent),
        kept=kept,
        people_keys=policy.people_keys,
        keeper=kept_from_now(kept, visit, ids, facts, policy, effort) if where.at_home else kept,
        sealed=sealed,
    )


def _visitors(context: Context) -> tuple[bytes, ...]:
    """Return who brings news of browser copies, and who that was before its first answer gave it an id."""
    return tuple(dict.fromkeys((context.visitor, visitor_of("", context.address, context.facts.user_agent))))


def _bot(visit: Visit, facts: Facts) -> str | None:
    return bot_reason(facts.user_agent, webdriver=visit.webdriver, brands=facts.brands, platform=facts.platform)


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


def _cookies(context: Context, policy: Policy) -> tuple[str, ...]:
    """Keep the ids, end them after a withdrawal, and touch nothing for a visit that may not be measured."""
    facts, kept, where = context.facts, context.kept, context.where
    if not where.at_home:
        return ()
    if context.visit.consent is Consent.REVOKED:
        return forget(kept._replace(consent=Consent.REVOKED), where, facts, policy)
    if context.forbidden:
        # Browsers end any cookie after 400 days; an opt-out shall not end for somebody who comes more often.
        return (keeper_cookie(kept, where, facts, policy),) if context.forbidden is DropReason.OPTED_OUT else ()
    sealed = context.sealed if context.keeper == kept else ""
    return (*context.ids.cookies, keeper_cookie(context.keeper, where, facts, policy, sealed=sealed))


def _answer(refused: Sequence[Refusal], surplus: int, *, all_wrong: bool) -> tuple[int, bytes]:
    """Name the refused: with 200 beside others that were taken or knowingly dropped, with 400 when all were refused."""
    named = [{"index": refusal.index, "id": refusal.id, "why": refusal.why} for refusal in refused]
    if all_wrong:
        return 400, orjson.dumps({"error": "every event is wrong", "refused": named[:20]})
    return 200, orjson.dumps({"refused": named, **({"more": surplus} if surplus else {})})
