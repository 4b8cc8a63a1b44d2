"""What the adapters conclude from consent managers, in a real browser: the words that they would tell the tag."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from cmps import MANAGERS, click, install, site_of
from playwright.async_api import Browser, Page
from stage import Stage, stage

from proxy.config.schema import Site
from proxy.edge.tag.consent_adapters import consent_script
from proxy.static_files import static_file

Verbs = Callable[..., Awaitable[list[str]]]


@pytest.fixture(name="sheet", scope="module")
async def _sheet(browser: Browser) -> AsyncIterator[Stage]:
    """One page for all rows of the tables; it is opened again for each row."""
    context = await browser.new_context()
    async with stage(await context.new_page()) as sheet:
        yield sheet
    await context.close()


@pytest.fixture(name="verbs")
async def _verbs(sheet: Stage) -> Verbs:
    """Return a function that runs a manager and further steps in the page, and returns what the tag would be told."""

    async def ask(site: Site, *steps: str) -> list[str]:
        await sheet.page.context.clear_cookies()
        await sheet.show()
        await sheet.run(
            steps[0], "window.told = []", f"({consent_script(site, static_file)})((verb) => told.push(verb))"
        )
        for step in steps[1:]:
            await sheet.run(step)
        before = await sheet.run("return Date.now()")
        await sheet.page.wait_for_function(f"Date.now() > {before} + 40")
        told: list[str] = await sheet.run("return told")
        return told

    return ask


async def test_waiting_costs_little(page: Page) -> None:
    """The adapter looks for a manager that never comes fewer than a hundred times in the first hour."""
    count = "window.looks = 0; Object.defineProperty(window, '__tcfapi', {get() { looks++ }})"
    await page.clock.install()
    await page.evaluate(f"() => {{ {count}; ({consent_script(site_of('tcf'), static_file)})(() => {{}}) }}")
    await page.clock.run_for(3_600_000)
    # Read both in one task: time goes on, and the click causes a second look 10 ms after the first.
    before, after = await page.evaluate("() => { const before = looks; document.body.click(); return [before, looks] }")

    assert 20 < before < 100
    assert after == before + 1


@pytest.mark.parametrize("name", [name for name, manager in MANAGERS.items() if manager.frees])
async def test_a_permission_without_an_answer(verbs: Verbs, name: str) -> None:
    """What a manager allows without asking counts as a yes only if the site says so; a refusal always counts."""
    free = f"window.answer = ({MANAGERS[name].stand_in})(undefined, true)"

    assert await verbs(site_of(name), free) == []
    assert await verbs(site_of(name, implied=True), free) == ["grant"]
    assert await verbs(site_of(name, implied=True), free, click("false")) == ["grant", "revoke"]


TCF = """
  window.heard = [];
  window.__tcfapi = (command, version, tell) => heard.push(tell);
  window.tell = (purposes, more, ok = true) => heard.map((listener) => listener({
    eventStatus: "useractioncomplete",
    gdprApplies: true,
    purpose: {consents: Object.fromEntries(purposes.map((id) => [id, true]))},
    vendor: {consents: {5: true}},
    ...more,
  }, ok))"""
ALL = "[1, 2, 3, 4, 7]"
TCF_ROWS: dict[str, tuple[dict[str, object], list[str], list[str]]] = {
    "all purposes": ({}, [f"tell({ALL})"], ["grant"]),
    "one is missing": ({}, ["tell([1, 2, 3, 4])"], ["revoke"]),
    "other purposes": ({"tcf_purposes": [1]}, ["tell([1])"], ["grant"]),
    "loaded with an earlier answer": ({}, [f"tell({ALL}, {{eventStatus: 'tcloaded'}})"], ["grant"]),
    "still asking": ({}, [f"tell({ALL}, {{eventStatus: 'cmpuishown'}})"], []),
    "asking again": ({}, [f"tell({ALL})", "tell([], {eventStatus: 'cmpuishown'})"], ["grant"]),
    "withdrawn": ({}, [f"tell({ALL})", "tell([1])"], ["grant", "revoke"]),
    "told twice": ({}, [f"tell({ALL})", f"tell({ALL})", "tell([])", "tell([])"], ["grant", "revoke"]),
    "not this law": ({}, ["tell([], {gdprApplies: false, purpose: undefined})"], ["grant"]),
    "not known which law": ({}, ["tell([], {gdprApplies: undefined, eventStatus: undefined})"], []),
    "failed": ({}, [f"tell({ALL}, {{}}, false)"], []),
    "failed, not this law": ({}, ["tell([], {gdprApplies: false}, false)"], []),
    "a vendor": ({"tcf_vendor": 5}, [f"tell({ALL})"], ["grant"]),
    "not this vendor": ({"tcf_vendor": 6}, [f"tell({ALL})"], ["revoke"]),
    "a provider": ({"tcf_provider": 89}, [f"tell({ALL}, {{addtlConsent: '2~1.89.700~dv.'}})"], ["grant"]),
    "a provider, first form": ({"tcf_provider": 89}, [f"tell({ALL}, {{addtlConsent: '1~89'}})"], ["grant"]),
    "a provider only shown": ({"tcf_provider": 89}, [f"tell({ALL}, {{addtlConsent: '2~1.890~dv.89'}})"], ["revoke"]),
    "no providers": ({"tcf_provider": 89}, [f"tell({ALL})"], ["revoke"]),
    "the real one replaces the other": (
        {},
        [
            "heard = []; const stub = __tcfapi; __tcfapi = (...call) => stub(...call); document.body.click()",
            f"tell({ALL})",
        ],
        ["grant"],
    ),
}


@pytest.mark.parametrize(("words", "steps", "expected"), TCF_ROWS.values(), ids=TCF_ROWS)
async def test_what_tcf_says(verbs: Verbs, words: dict[str, object], steps: list[str], expected: list[str]) -> None:
    """A TCF consent covers every purpose, the vendor and the provider that the site names."""
    assert await verbs(site_of("tcf", **words), TCF, *steps) == expected


GPP = """
  window.heard = [];
  window.__gpp = (command, tell) => heard.push(tell);
  window.tell = (ids, sections, status = "ready") => heard.map((listener) => listener({
    eventName: "sectionChange",
    pingData: {signalStatus: status, applicableSections: ids, parsedSections: sections},
  }))"""
US = "{SaleOptOut: 2, SharingOptOut: 2, TargetedAdvertisingOptOut: 2}"
GPP_ROWS: dict[str, tuple[list[str], list[str]]] = {
    "no opt-out": ([f"tell([7], {{usnat: {US}}})"], ["grant"]),
    "a state": ([f"tell([8], {{usca: [{US}, {{Gpc: false}}]}})"], ["grant"]),
    "no sale": (["tell([7], {usnat: {SaleOptOut: 1}})"], ["revoke"]),
    "no sharing": (["tell([8], {usca: [{SharingOptOut: 1}]})"], ["revoke"]),
    "no advertising": (["tell([9], {usva: {TargetedAdvertisingOptOut: 1}})"], ["revoke"]),
    "the browser's word": ([f"tell([7], {{usnat: [{US}, {{Gpc: true}}]}})"], ["revoke"]),
    "the old section": (["tell([6], {uspv1: {Notice: 'Y', OptOutSale: 'N'}})"], ["grant"]),
    "no sale, the old section": (["tell([6], {uspv1: {Notice: 'Y', OptOutSale: 'Y'}})"], ["revoke"]),
    "not ready": ([f"tell([7], {{usnat: {US}}}, 'not ready')"], []),
    "being asked again": ([f"tell([7], {{usnat: {US}}})", "tell([7], {}, 'not ready')"], ["grant"]),
    "withdrawn": ([f"tell([7], {{usnat: {US}}})", "tell([7], {usnat: {SaleOptOut: 1}})"], ["grant", "revoke"]),
    "none in force": (["tell([-1], {})"], ["grant"]),
    "not known which": ([f"tell([0], {{usnat: {US}}})"], []),
    "none yet": (["tell([], undefined)"], []),
    "in force but not there": (["tell([7], {})"], []),
    "Europe": (["tell([2], {tcfeuv2: [{PurposeConsents: [true]}]})"], []),
    "Europe and an opt-out": (["tell([2], {usnat: {SaleOptOut: 1}})"], ["revoke"]),
}


@pytest.mark.parametrize(("steps", "expected"), GPP_ROWS.values(), ids=GPP_ROWS)
async def test_what_gpp_says(verbs: Verbs, steps: list[str], expected: list[str]) -> None:
    """A GPP consent is a section for the United States that is in force and has no opt-out."""
    assert await verbs(site_of("gpp"), GPP, *steps) == expected


LAYER = """
  window.dataLayer = [];
  window.gtag = function () { dataLayer.push(arguments); }"""
GRANTED = "{ad_storage: 'granted', ad_user_data: 'granted'}"
DENIED = "{ad_storage: 'denied', ad_user_data: 'denied'}"
HERE = "{ad_storage: 'granted', ad_user_data: 'granted', region: ['US']}"
THERE = "{ad_storage: 'denied', ad_user_data: 'denied', region: ['DE']}"
LAYER_ROWS: dict[str, tuple[bool, list[str], list[str]]] = {
    "update": (False, [f"gtag('consent', 'update', {GRANTED})"], ["grant"]),
    "default": (False, [f"gtag('consent', 'default', {GRANTED})"], []),
    "default, implied": (True, [f"gtag('consent', 'default', {GRANTED})"], ["grant"]),
    "default of one region, implied": (True, [f"gtag('consent', 'default', {HERE})"], []),
    "default but for a region, implied": (
        True,
        [f"gtag('consent', 'default', {THERE})", f"gtag('consent', 'default', {GRANTED})"],
        [],
    ),
    "update of one type": (False, ["gtag('consent', 'update', {ad_storage: 'granted'})"], ["revoke"]),
    "update of the other type": (
        False,
        ["gtag('consent', 'update', {ad_storage: 'granted'})", "gtag('consent', 'update', {ad_user_data: 'granted'})"],
        ["revoke", "grant"],
    ),
    "other types": (
        False,
        [f"gtag('consent', 'update', {GRANTED})", "gtag('consent', 'update', {analytics_storage: 'denied'})"],
        ["grant"],
    ),
    "withdrawn": (
        False,
        [f"gtag('consent', 'update', {GRANTED})", "gtag('consent', 'update', {ad_user_data: 'denied'})"],
        ["grant", "revoke"],
    ),
    "as an array": (False, [f"dataLayer.push(['consent', 'update', {GRANTED}])"], ["grant"]),
    "several at once": (False, [f"dataLayer.push({{}}, ['consent', 'update', {GRANTED}])"], ["grant"]),
    "wrapped by another": (
        False,
        [
            "const push = dataLayer.push; dataLayer.push = (...items) => push.apply(dataLayer, items)",
            f"gtag('consent', 'update', {GRANTED})",
        ],
        ["grant"],
    ),
    "replaced": (
        False,
        ["dataLayer = []", f"gtag('consent', 'update', {GRANTED})", "document.body.click()"],
        ["grant"],
    ),
    "anything else": (
        False,
        [
            "dataLayer.push(null, 5, 'x', undefined, {event: 'x'}, ['consent'], ['consent', 'update'], [])",
            "dataLayer.push({get 0() { throw 1 }})",
        ],
        [],
    ),
}


@pytest.mark.parametrize(("implied", "steps", "expected"), LAYER_ROWS.values(), ids=LAYER_ROWS)
async def test_what_consent_mode_says(
    verbs: Verbs,
    implied: bool,  # noqa: FBT001 - a column of the table
    steps: list[str],
    expected: list[str],
) -> None:
    """Consent Mode gives consent when an update leaves both types granted."""
    assert await verbs(site_of("consent_mode", implied=implied), LAYER, *steps) == expected


async def test_the_data_layer_works_as_before(sheet: Stage, verbs: Verbs) -> None:
    """A push to the data layer returns what it did without the adapter, and all pushed items are there."""
    await verbs(site_of("consent_mode"), LAYER, "window.pushed = dataLayer.push({a: 1}, {b: 2})")

    assert await sheet.run("return [pushed, dataLayer.length, dataLayer[1].b]") == [2, 2, 2]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["tcf([1, 2, 3, 4, 7])"], []),
        ([f"gpp([7], {{usnat: {US}}})"], []),
        (["tcf([1, 2, 3, 4, 7])", "gpp([2], {})"], ["grant"]),
        (["tcf([1])", "gpp([2], {})"], ["revoke"]),
        (["tcf([], {gdprApplies: false})", f"gpp([7], {{usnat: {US}}})"], ["grant"]),
        (["tcf([], {gdprApplies: false})", "gpp([7], {usnat: {SaleOptOut: 1}})"], ["revoke"]),
        (["tcf([1, 2, 3, 4, 7])", "gpp([2], {})", "tcf([1])"], ["grant", "revoke"]),
    ],
)
async def test_several_managers_agree(verbs: Verbs, steps: list[str], expected: list[str]) -> None:
    """With two managers one yes is not enough while the other is silent or says no, unless the other does not apply."""
    both = f"{TCF.replace('heard', 'waiting')}; window.tcf = tell; {GPP}; window.gpp = tell"

    assert await verbs(site_of("tcf", "gpp"), both, *steps) == expected


@pytest.mark.parametrize(
    ("words", "state", "expected"),
    [
        ({}, "[{categorySlug: 'marketing', name: 'Meta Pixel', consent: {status: true}}]", ["grant"]),
        ({}, "[{categorySlug: 'marketing', name: 'Meta Pixel', consent: {status: false}}]", ["revoke"]),
        ({}, "[]", []),
        ({"usercentrics_service": "Meta Pixel"}, "[{name: 'Meta Pixel', consent: {status: true}}]", ["grant"]),
        ({"usercentrics_service": "Meta"}, "[{name: 'Meta Pixel', consent: {status: true}}]", []),
        ({}, "[{categorySlug: 'marketing', consent: {status: true}}, {categorySlug: 'marketing'}]", ["revoke"]),
    ],
)
async def test_usercentrics_2(verbs: Verbs, words: dict[str, object], state: str, expected: list[str]) -> None:
    """Version 2 has other names for the same data, and its answer is read once isConsentRequired is false."""
    manager = f"window.UC_UI = {{isConsentRequired: () => false, getServicesBaseInfo: () => {state}}}"

    assert await verbs(site_of("usercentrics", **words), manager) == expected


@pytest.mark.parametrize(
    ("name", "manager", "expected"),
    [
        (
            "borlabs",
            "document.cookie = 'borlabs-cookie=1'; BorlabsCookie = {checkCookieConsent: () => 1}",
            ["grant"],
        ),
        ("cookiebot", "Cookiebot = {hasResponse: true, consent: {marketing: true, method: 'implied'}}", []),
        ("iubenda", "_iub = {cs: {consent: {timestamp: 'x', consent: true}}}", ["grant"]),
        ("iubenda", "_iub = {cs: {consent: {timestamp: 'x', consent: false}}}", ["revoke"]),
        ("shopify", f"({MANAGERS['shopify'].stand_in.replace('() => true', '() => false')})(true)", ["revoke"]),
        ("trustarc", "truste = {cma: {callApi: () => ({consentDecision: 3, source: 'asserted'})}}", ["grant"]),
        ("klaro", "klaro = {getManager() { throw 1 }}", []),
    ],
)
async def test_other_forms(verbs: Verbs, name: str, manager: str, expected: list[str]) -> None:
    """Other versions and settings of a manager are understood, and a manager that fails tells nothing."""
    assert await verbs(site_of(name), manager) == expected


async def test_klaro_switches_are_only_tried(verbs: Verbs) -> None:
    """A switch of Klaro that the visitor moves but does not save changes nothing."""
    moved = "klaro.getManager().consents['facebook-pixel'] = true; document.body.click()"

    assert await verbs(site_of("klaro"), install("klaro", stored=False), moved) == ["revoke"]
