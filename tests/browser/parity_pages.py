"""The pages of the parity test: every way in which sites are known to set up and call the Pixel.

More than 250 lines: it is one table.
"""

import json

from lab import NO_CONFIG, SLOW_CONFIG
from parity import STUBBED, Scenario
from shop_page import STUB, script

INIT = "fbq('init', '111');"
TWO = "fbq('init', '111'); fbq('init', '222');"
VIEW = "fbq('track', 'PageView');"
LEAD = "fbq('track', 'Lead', {value: 5});"
CONTACT = "fbq('track', 'Contact');"
BOTH = "111 PageView, 111 Lead"
SINGLE_VIEW = "fbq('trackSingle', '111', 'PageView')"
CLICK = "var b = document.createElement('button'); b.textContent = 'Buy'; document.body.append(b); b.click();"
LOCKED = "window.fbq && fbq.callMethod"

# The argument after the custom data, in every form that pages use, correct or not.
EVENT_DATA = {
    "Key": "{}, {eventID: 'a.1'}",
    "Snake": "{}, {event_id: 'a.2'}",
    "Both": "{}, {event_id: 'b', eventID: 'a.3'}",
    "Number": "{}, {eventID: 17}",
    "Zero": "{}, {eventID: 0}",
    "Nested": "{}, {eventID: {eventID: 'deep'}}",
    "NestedNumber": "{}, {eventID: {eventID: 18}}",
    "Frozen": "Object.freeze({v: 1}), Object.freeze({eventID: 'a.4'})",
    "NoData": "undefined, {eventID: 'a.5'}",
    "NullData": "null, {eventID: 'a.6'}",
    "Bare": "",
    "DataOnly": "{value: 1, currency: 'EUR'}",
    "NullDataOnly": "null",
    "Empty": "{}, {eventID: ''}",
    "Undefined": "{}, {eventID: undefined}",
    "Null": "{}, null",
    "NullId": "{}, {eventID: null}",
    "Text": "{}, 'a'",
    "TextData": "'text'",
    "List": "{}, ['a']",
    "ListData": "[1, 2]",
    "ObjectId": "{}, {eventID: {}}",
    "True": "{}, {eventID: true}",
    "FrozenBare": "Object.freeze({}), Object.freeze({other: 1})",
    "WrongPlace": "{eventID: 'wrong'}",
    "WrongPlaceTwice": "{eventID: 'wrong'}, {}",
    "More": "{}, {eventID: 'a.7'}, 'more', 7",
}
COMMANDS = {
    "track": "'track', ",
    "trackCustom": "'trackCustom', ",
    "trackSingle": "'trackSingle', '111', ",
    "trackSingleCustom": "'trackSingleCustom', '111', ",
}


def calls(first: str) -> str:
    """Return calls of one command, one call for each form of its last arguments."""
    return "; ".join(
        f"fbq({first}{json.dumps(name)}{', ' + rest if rest else ''})" for name, rest in EVENT_DATA.items()
    )


def plain(*statements: str) -> Scenario:
    """Return a page with the usual base code and calls right after it; the last argument is what the Pixel sends."""
    *all_but_last, fires = statements
    return Scenario([STUBBED, script(*all_but_last)], fires=fires)


def twice(statements: str, fires: str, *, before: str = INIT) -> Scenario:
    """Return a page that makes the same calls before the Pixel takes over and after."""
    both = ", ".join(filter(None, (fires, fires)))
    return Scenario([STUBBED, script(before, statements)], late=statements, fires=both)


COMMANDS_TABLE = {
    f"{command} in every form": twice(calls(first), ", ".join(f"111 {name}" for name in EVENT_DATA))
    for command, first in COMMANDS.items()
} | {
    "init with a text": twice(LEAD, "111 Lead"),
    "init with a number": twice(LEAD, "111 Lead", before="fbq('init', 111)"),
    "init with matching data": twice(LEAD, "111 Lead", before="fbq('init', '111', {em: 'a@b.test', ph: 1})"),
    "init with null matching data": twice(LEAD, "111 Lead", before="fbq('init', '111', null)"),
    "init with an agent": twice(LEAD, "111 Lead", before="fbq('init', '111', {}, {agent: 'shop'})"),
    "init twice": twice(LEAD, "111 Lead", before=INIT + INIT),
    "init again adds matching data": twice(LEAD, "111 Lead", before=INIT + "fbq('init', '111', {em: 'a@b.test'})"),
    "init again with other matching data": twice(
        LEAD, "111 Lead", before="fbq('init', '111', {em: 'a@b.test'}); fbq('init', '111', {em: 'c@d.test'})"
    ),
    "init of nothing": twice("fbq('init'); fbq('init', 'UA-1'); fbq('init', null);" + LEAD, "111 Lead"),
    "init of a late pixel": Scenario(
        [STUBBED, script(INIT, LEAD)], late="fbq('init', '222');" + LEAD, fires="111 Lead, 111 Lead, 222 Lead"
    ),
    "addPixelId": twice(LEAD, "111 Lead", before="fbq('addPixelId', '111', {em: 'a@b.test'})"),
    "track before any init": plain(LEAD + INIT, CONTACT, "111 Contact"),
    "track twice with one id": twice(
        "fbq('track', 'Lead', {}, {eventID: 'same'}); fbq('track', 'Contact', {}, {eventID: 'same'});",
        "111 Lead, 111 Contact",
    ),
    "PageView twice": Scenario([STUBBED, script(INIT, VIEW, VIEW)], late=VIEW + LEAD, fires=BOTH),
    "PageView by trackCustom": plain(INIT, "fbq('trackCustom', 'PageView');", VIEW, "111 PageView"),
    "PageView twice where allowed": Scenario(
        [STUBBED, script("fbq.allowDuplicatePageViews = true", INIT, VIEW, VIEW)],
        late=VIEW,
        fires="111 PageView, 111 PageView, 111 PageView",
    ),
    "PageView allowed later": Scenario(
        [STUBBED, script(INIT, VIEW)],
        late="fbq.allowDuplicatePageViews = true;" + VIEW,
        fires="111 PageView, 111 PageView",
    ),
    "PageView by trackSingle": Scenario(
        [STUBBED, script(INIT, "fbq('trackSingle', '111', 'PageView')", VIEW)],
        late="fbq('trackSingle', '111', 'PageView');" + VIEW,
        fires="111 PageView, 111 PageView, 111 PageView",
    ),
    "PageView of a late pixel": Scenario(
        [STUBBED, script(INIT, VIEW)], late="fbq('init', '222');" + VIEW, fires="111 PageView, 222 PageView"
    ),
    "two pixels": twice(
        LEAD + "fbq('trackSingle', '222', 'Contact'); fbq('trackSingleCustom', '111', 'Own');",
        "111 Lead, 222 Lead, 222 Contact, 111 Own",
        before=TWO,
    ),
    "two pixels, one id and name by trackSingle": twice(
        "fbq('trackSingle', '111', 'Lead', {}, {eventID: 'x'}); fbq('trackSingle', '222', 'Lead', {}, {eventID: 'x'});",
        "111 Lead, 222 Lead",
        before=TWO,
    ),
    "trackSingle of a number": twice("fbq('trackSingle', 111, 'Lead');", ""),
    "trackSingle of a stranger": twice("fbq('trackSingle', '999', 'Lead'); fbq('trackSingle');", ""),
    "trackSingleOnly": twice(
        LEAD + "fbq('trackSingle', '222', 'Contact');",
        "111 Lead, 222 Contact",
        before=TWO + "fbq('set', 'trackSingleOnly', true, '222');",
    ),
    "trackSingleOnly of a number, then off": twice(
        "fbq('set', 'trackSingleOnly', true, 222);" + LEAD + "fbq('set', 'trackSingleOnly', false, 222);" + CONTACT,
        "111 Lead, 111 Contact, 222 Contact",
        before=TWO,
    ),
    "report in every form": twice(
        "fbq('reportLead'); fbq('reportLead', {a: 1}); fbq('reportContact', {}, {eventID: 'r.1'});"
        "fbq('reportCustomEvent', {event: 'Own'}); fbq('reportCustomEvent', {event: 'Own2'}, {event_id: 'r.2'});"
        "fbq('reportCustomEvent', {event: 'Own3', a: 1});",
        "111 Lead, 111 Lead, 111 Contact, 111 Own, 111 Own2, 111 Own3",
    ),
    "setUserProperties": twice("fbq('setUserProperties', '111', {vip: 1});" + LEAD, "111 UserProperties, 111 Lead"),
    "one array": Scenario(
        [STUBBED, script(INIT, "fbq.push(['track', 'Lead'])", "_fbq.push(['trackSingle', '111', 'Contact'])")],
        late="fbq(['trackCustom', 'Own', {a: 1}]); fbq.push(['track', 'Lead', {}, {eventID: 'p.1'}]);"
        "fbq.push(['init', '222']); fbq.push(['track', 'Search']);",
        fires="111 Lead, 111 Own, 111 Lead, 111 Search, 222 Search",
    ),
    "push on the queue": Scenario(
        [STUBBED, script(INIT, "fbq.queue.push(['track', 'Lead'], ['track', 'Contact'])")],
        fires="111 Lead, 111 Contact",
    ),
    "consent with strange words": twice("fbq('consent'); fbq('consent', 'maybe');" + LEAD, "111 Lead"),
    "consent revoked, then granted": Scenario(
        [STUBBED, script("fbq('consent', 'revoke')", INIT, VIEW, LEAD)],
        late="fbq('consent', 'grant'); await lab.ready();",
        fires=BOTH,
        ready=LOCKED,
    ),
    "consent revoked after load": Scenario(
        [STUBBED, script(INIT, VIEW)],
        late="fbq('consent', 'revoke');" + LEAD + CONTACT + "fbq('consent', 'grant');",
        fires=f"{BOTH}, 111 Contact",
    ),
    "dataProcessingOptions in every form": twice(
        "".join(f"fbq('dataProcessingOptions'{form}); fbq('trackCustom', 'E{at}');" for at, form in enumerate(
            ("", ", ['LDU']", ", ['LDU'], 1", ", ['LDU'], 0, 0", ", ['LDU'], 1, 1000", ", ['LDU'], 1, 1000, 9",
             ", []", ", null")
        )),
        ", ".join(f"111 E{at}" for at in range(8)),
    ),
    "LDU before init": twice(LEAD, "111 Lead", before="fbq('dataProcessingOptions', ['LDU'], 0, 0);" + INIT),
    "set agent": twice(
        LEAD, "111 Lead, 222 Lead", before=TWO + "fbq('set', 'agent', 'plugin', '222'); fbq('set', 'agent', 'no');"
    ),
    "agent for all": twice(LEAD, "111 Lead", before="fbq.agent = 'seg';" + INIT),
    "set autoConfig": twice(
        LEAD, "111 Lead, 222 Lead",
        before="fbq('set', 'autoConfig', false, '111'); fbq('set', 'autoConfig', 'true');" + TWO,
    ),
    "set firstPartyCookies": twice(LEAD, "111 Lead", before="fbq('set', 'firstPartyCookies', false, '111');" + INIT),
    "set userData": twice("fbq('set', 'userData', {external_id: 'u'});" + LEAD, "111 Lead"),
    "set anything else": twice(
        "".join(f"fbq('set', '{key}', 'x', '111');" for key in
            ("mobileBridge", "parallelfire", "smartSetup", "codeless", "cbdata.onetrustid", "weather"))
        + "fbq('set');" + LEAD,
        "111 Lead",
    ),
    "disabledExtensions": twice("fbq('disabledExtensions', ['a']);" + LEAD, "111 Lead"),
    "commands that are not for pages": twice(
        "fbq('fire', {}); fbq('on', 'x'); fbq('optIn', '111', 'X'); fbq('optOut', '111'); fbq('gateCheck', 'x');"
        "fbq('configLoaded', '9'); fbq('loadConfig'); fbq('skipOpenbridge'); fbq('trackShopify', '111', 'A');"
        "fbq('trackWebchat', '111'); fbq('trackSingleSystem', 'a', '111', 'B'); fbq('send', 'C');" + LEAD,
        "111 Lead",
    ),
    "calls that mean nothing": twice(
        "fbq(); fbq(null); fbq(7); fbq({}, []); fbq([]); fbq('toString'); fbq('__proto__'); fbq('constructor', '111');"
        "fbq('hasOwnProperty', 'x'); fbq(Symbol('s')); fbq(''); fbq(['x']); fbq([['track', 'Lead']]);" + LEAD,
        "111 Lead",
    ),
    "events with strange names": Scenario(
        [STUBBED, script(INIT)],
        late="fbq('track', 7); fbq('track'); fbq('track', null); fbq('track', {}); fbq('track', 'L d');"
        "fbq('trackCustom', '\\u00e4\\ud83d\\ude00'); fbq('trackCustom', '__proto__');"
        "fbq('trackCustom', 'constructor');",
        fires="111 7, 111 undefined, 111 null, 111 [object Object], 111 L d, 111 \u00e4\U0001f600, 111 __proto__, "
        "111 constructor",
        mirrors="111 L d, 111 \u00e4\U0001f600, 111 __proto__, 111 constructor",
    ),
    "custom data that no JSON carries": Scenario(
        [STUBBED, script(INIT)],
        late="var cycle = {}; cycle.self = cycle; fbq('track', 'Cycle', cycle); fbq('track', 'Big', {big: 1n});"
        "fbq('track', 'Trap', {get a() { throw new Error('looked') }}); fbq('track', 'Fn', {f() {}});"
        "fbq('track', 'Fine', {a: undefined, b: NaN, c: new Date(0)});",
        fires="111 Big, 111 Fn, 111 Fine",
        mirrors="111 Cycle, 111 Big, 111 Trap, 111 Fn, 111 Fine",
    ),
    "long custom data": twice("fbq('track', 'Lead', {text: '\\u00e4'.repeat(900)}, {eventID: 'long'});", "111 Lead"),
    "Purchase in every form": twice(
        "fbq('track', 'Purchase'); fbq('track', 'Purchase', {value: 1, currency: 'EUR'});"
        "fbq('track', 'Purchase', {value: 'x'}); lab.orders = (lab.orders || 0) + 1;"
        "fbq('track', 'Purchase', {value: 1, currency: 'EUR', order_id: 'o-' + lab.orders});",
        ", ".join(["111 Purchase"] * 4),
    ),
    "returns and arguments": twice(
        "var data = {v: 1}, options = {eventID: ''}, list = ['track', 'Search', data];"
        "lab.see(fbq('track', 'Lead', data, options), fbq('init', '111'), fbq.push(list), fbq(), fbq('dance'));"
        "lab.see(data, options, list, fbq === _fbq, fbq.push === fbq, fbq.loaded, fbq.version.length > 1);"
        "lab.see(typeof fbq.callMethod, Array.isArray(fbq.queue), fbq.length, fbq.name, String(fbq).length);",
        "111 Lead, 111 Search",
    ),
}  # fmt: skip


def stub(text: str) -> str:
    """Return a script with another stub, which also loads the Pixel."""
    return script(f"(function () {{ {text}; lab.load() }})()")


GTM = stub("""
  var fbq = window.fbq || (window.fbq = function () {
    if (fbq.callMethod && fbq.callMethod.apply) fbq.callMethod.apply(null, arguments);
    else fbq.queue.push(arguments);
  });
  window._fbq = window._fbq || fbq; fbq.push = fbq; fbq.loaded = true; fbq.version = '2.0'; fbq.queue = fbq.queue || []
""")
RUDDERSTACK = """
  window._fbq = function () {
    if (window.fbq.callMethod) window.fbq.callMethod.apply(window.fbq, arguments);
    else window.fbq.queue.push(arguments);
  };
  window.fbq = window.fbq || window._fbq; window.fbq.push = window.fbq; window.fbq.loaded = true;
  window.fbq.disablePushState = true; window.fbq.allowDuplicatePageViews = true;
  window.fbq.version = '2.0'; window.fbq.queue = [];
"""
SEGMENT = RUDDERSTACK.replace("window.fbq.allowDuplicatePageViews = true", "window.fbq.agent = 'seg'")
FORWARDER = "window.fbq = function () { taken.push(['fbq', ...arguments]) };"
PROXIED = "window.fbq = window._fbq = new Proxy(fbq, {apply: (f, self, call) => f.apply(self, call)});"
OWN_STUB = """(function (old) {
  function wrapper() { wrapper.callMethod ? wrapper.callMethod.apply(wrapper, arguments) : old.queue.push(arguments) }
  window.fbq = window._fbq = Object.assign(wrapper, old); wrapper.push = wrapper;
})(fbq);"""
SPY = """(function (old) {
  window.fbq = Object.assign(function () { lab.see(arguments.length); return old.apply(this, arguments) }, old);
})(fbq);"""
BARE = "(function (old) { window.fbq = function () { return old.apply(this, arguments) } })(fbq);"
COMPLETE = stub("""
  function own() { own.callMethod ? own.callMethod.apply(own, arguments) : own.queue.push(arguments) }
  own.push = own; own.queue = [['init', '111'], ['track', 'PageView']]; window.fbq = window._fbq = own
""")
HERE = [STUBBED, script(INIT, VIEW)]

STUBS_TABLE = {
    "Google Tag Manager's template": Scenario(
        [GTM, script("fbq('set', 'agent', 'tmSimo-GTM-WebTemplate', '111')", INIT), script(SINGLE_VIEW)],
        late="fbq('trackSingle', '111', 'Lead', {value: 1});"
        "fbq('trackSingleCustom', '111', 'Own', {}, {eventID: 'g'});",
        fires="111 PageView, 111 Lead, 111 Own",
    ),
    "a stub that calls without this": Scenario([GTM, script(INIT, VIEW)], late=LEAD, fires=BOTH),
    "RudderStack": Scenario(
        [stub(RUDDERSTACK), script(INIT, VIEW)],
        late="fbq('track', 'Lead', {}, {eventID: 'r'});" + VIEW,
        fires="111 PageView, 111 Lead, 111 PageView",
    ),
    "RudderStack with two destinations": Scenario(
        [stub(RUDDERSTACK), script(INIT, f"(function () {{ {RUDDERSTACK} }})()", "fbq('init', '222')", VIEW)],
        late=LEAD,
        fires="222 PageView, 222 Lead",
        lost="111",
    ),
    "Segment": Scenario(
        [stub(SEGMENT), script(INIT, VIEW)], late="fbq('track', 'Lead', {}, {eventID: 'ajs-1'});", fires=BOTH
    ),
    "the old fbds beside the base code": Scenario(
        [script("window._fbq = [['addPixelId', '999'], ['track', 'PixelInitialized', {}]]"), *HERE],
        late=LEAD,
        fires=BOTH,
    ),
    "the base code twice": Scenario([STUBBED, STUBBED, script(INIT, VIEW)], late=LEAD, fires=BOTH),
    "the tag once more": Scenario(["", STUBBED, "", script(INIT, VIEW), ""], late=LEAD, fires=BOTH),
    "a stub assigned with a full queue": Scenario([COMPLETE], late=LEAD, fires=BOTH),
    "a proxy before load": Scenario([STUBBED, script(PROXIED, INIT, VIEW)], late=LEAD, fires=BOTH),
    "a proxy after load": Scenario(HERE, late=PROXIED + LEAD, fires=BOTH),
    "a wrapper with a stub of its own": Scenario([STUBBED, script(OWN_STUB, INIT, VIEW)], late=LEAD, fires=BOTH),
    "a spy after load": Scenario(HERE, late=SPY + LEAD, fires=BOTH),
    "a spy before load": Scenario(
        [STUBBED, script(SPY, INIT, VIEW)],
        late=LEAD, then="true", fires="111 PageView", mirrors=BOTH, ends=False,
    ),
    "a bare function after load": Scenario(
        HERE, late=BARE + LEAD, then="true", fires="111 PageView", mirrors=BOTH, ends=False,
    ),
    "a wrapped take-over": Scenario(
        HERE,
        late="var real = fbq.callMethod; fbq.callMethod = function () { return real.apply(this, arguments) };" + LEAD,
        fires=BOTH,
    ),
    "fbq in a consent manager's late script": Scenario(
        [STUBBED.replace("<script", '<script type="text/plain" id="blocked"')],
        late="var s = document.createElement('script'); s.text = blocked.text; document.head.append(s);"
        + INIT + VIEW + "await lab.ready();" + LEAD,
        fires=BOTH, ready="true",
    ),
    "a dummy before the base code": Scenario(
        [script("window.fbq = function () {}", INIT), script("window.fbq = undefined"), *HERE],
        late=LEAD, fires=BOTH,
    ),
    "fbq declared, not assigned": Scenario([script("var fbq"), *HERE], late=LEAD, fires=BOTH),
    "Object.prototype extended": Scenario(
        [script("Object.prototype.extend = function () {}; Array.prototype.last = function () {}"), *HERE],
        late=LEAD, fires=BOTH,
    ),
}  # fmt: skip

DEFINE = "Object.defineProperty(window, 'fbq', {value: n, writable: true, configurable: true, enumerable: true})"
# Meta's plugin for WooCommerce, here before the base code: it waits for an assignment, then sends its own event.
PLUGIN = """Object.defineProperty(window, 'fbq', {configurable: true, enumerable: true, get() {}, set(value) {
  Object.defineProperty(window, 'fbq', {value, writable: true, configurable: true, enumerable: true});
  lab.ready().then(() => { fbq('track', 'ViewContent', {}, {eventID: 'woo'}); lab.served = true });
}})"""
BLOCKED = script(f"(function () {{ {STUB} lab.load('/blocked.js') }})()")

PIXEL_TABLE = {
    "consent revoked and granted before the Pixel comes": Scenario(
        [STUBBED, script("fbq('consent', 'revoke')", INIT, VIEW, LEAD, "fbq('consent', 'grant')")],
        late=CONTACT, ready=LOCKED, then="true", mirrors=f"{BOTH}, 111 Contact", ends=False,
    ),
    "consent granted once more": Scenario(
        [STUBBED, script("fbq('consent', 'revoke')", INIT, VIEW, LEAD, "fbq('consent', 'grant')")],
        late="fbq('consent', 'grant'); await lab.ready();" + CONTACT, ready=LOCKED, fires=f"{BOTH}, 111 Contact",
    ),
    "an event before the init": Scenario(
        [STUBBED, script(LEAD, INIT, VIEW)], late=LEAD, fires="111 PageView, 111 Lead",
    ),
    "an address cleaned before the first event": Scenario(
        [STUBBED, script(INIT, VIEW, "history.replaceState({}, '', '?clean')")], late=LEAD, fires=BOTH,
    ),
    "a stub that is defined, not assigned": Scenario(
        [stub(f"{STUB.replace('var n = window.fbq = function', 'var n = function')} {DEFINE}"), script(INIT, VIEW)],
        late=LEAD, fires=BOTH,
    ),
    "a plugin that waits for the stub": Scenario(
        [script(PLUGIN), *HERE], late=LEAD, ready="lab.served", fires="111 PageView, 111 ViewContent, 111 Lead",
    ),
    "the Pixel blocked": Scenario(
        [BLOCKED, script(INIT, VIEW)],
        late=LEAD, ready="lab.failed", then="true", mirrors=BOTH, ends=False,
    ),
    "the Pixel blocked, consent granted late": Scenario(
        [BLOCKED, script("fbq('consent', 'revoke')", INIT, VIEW)],
        late=LEAD + "fbq('consent', 'grant');", ready="lab.failed", then="true", mirrors=BOTH, ends=False,
    ),
    "no Pixel": Scenario([], late="lab.see(typeof window.fbq);", ready="true", then="true", ends=False),
    "the config blocked": Scenario(
        [STUBBED, script(f"fbq('init', '{NO_CONFIG}')", VIEW)],
        late=LEAD, ready=LOCKED, then="true", mirrors="404 PageView, 404 Lead", ends=False,
    ),
    "one config of two blocked": Scenario(
        [STUBBED, script(INIT, LEAD)],
        late=f"fbq('init', '{NO_CONFIG}');" + CONTACT,
        then="true", fires="111 Lead", mirrors="111 Lead, 111 Contact, 404 Contact", ends=False,
    ),
    "the config slow": Scenario(
        [STUBBED, script(f"fbq('init', '{SLOW_CONFIG}')", VIEW)],
        late=LEAD + "lab.see(fbq.queue.length); await fetch('/release'); await lab.ready();" + CONTACT,
        ready=LOCKED, fires="700 PageView, 700 Lead, 700 Contact",
    ),
    "a plugin blocked": Scenario(
        [STUBBED, script(INIT, VIEW, "fbq('set', 'openbridge', '111', 'https://g.shop.test')", LEAD)],
        late=CONTACT, ready=LOCKED + " && fbq.queue.length == 1", then="true", fires="111 PageView",
        mirrors=f"{BOTH}, 111 Contact", ends=False,
    ),
    "a gateway": Scenario(
        [STUBBED, script("fbq('init', '800')", VIEW)],
        late="fbq('track', 'Lead', {}, {eventID: 'g'});" + CONTACT, fires="800 PageView, 800 Lead, 800 Contact",
    ),
    "clicks": Scenario(
        [STUBBED, script("fbq('init', '900')", VIEW)],
        late=CLICK + LEAD,
        fires="900 PageView, 900 SubscribedButtonClick, 900 Lead",
    ),
    "clicks without autoConfig": Scenario(
        [STUBBED, script("fbq('set', 'autoConfig', false, '900')", "fbq('init', '900')", VIEW)],
        late=CLICK + LEAD,
        fires="900 PageView, 900 Lead",
    ),
    "routes that the page leaves alone": Scenario(
        [STUBBED, script("fbq.disablePushState = true", INIT, VIEW)],
        late="history.replaceState({}, '', '?route'); await new Promise((r) => setTimeout(r));" + LEAD,
        fires=BOTH,
    ),
    "reads of the queue": Scenario(
        [BLOCKED, script(INIT, LEAD)],
        late="lab.see(fbq.queue.length, fbq.queue.map((call) => call[0]), [...fbq.queue].length);",
        ready="lab.failed", then="true", mirrors="111 Lead", ends=False,
    ),
}  # fmt: skip

# Pages of a site whose settings say that the Pixel runs behind a forwarder.
FORWARDED = {
    "Partytown's forwarder": Scenario(
        [script(FORWARDER)],
        late=INIT + VIEW + LEAD + "fbq('track', 'Contact', {}, {eventID: 'w'});",
        ready="window.fbq", then="true", mirrors=f"{BOTH}, 111 Contact", ends=False,
    ),
}  # fmt: skip
SETUPS_TABLE = STUBS_TABLE | PIXEL_TABLE
