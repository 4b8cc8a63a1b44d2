"""Stand-ins for consent managers: the part of each that an adapter reads, as the manager's maker describes it.

Each is a JavaScript function. Its arguments are what the visitor answered on an earlier page (undefined for no answer)
and whether the consent manager allows marketing without asking. It returns a function that answers for the visitor.

More than 250 lines: each consent manager has its stand-in here, a script of some ten lines.
"""

import json
from typing import Any, NamedTuple

from proxy.config.schema import Site


class Manager(NamedTuple):
    """A stand-in, with what the tests have to know of the consent manager.

    words: the settings by which a site describes it; tells: whether an answer is known in the task in which it is
    given; frees: whether it may allow marketing without asking.
    """

    stand_in: str
    words: dict[str, object] = {}  # noqa: RUF012 - never changed
    tells: bool = True
    frees: bool = True


_EMIT = "const emit = (name, detail) => document.dispatchEvent(new CustomEvent(name, {detail}))"

MANAGERS = {
    "axeptio": Manager(
        """
        (stored) => {
          const heard = [];
          let choices = stored === undefined ? undefined : {facebook_pixel: stored};
          const sdk = {
            on: (event, tell) => event == "cookies:complete" && heard.push(tell),
            hasAcceptedVendor: (vendor) => !!choices?.[vendor],
          };
          const waiting = window._axcb || [];
          window._axcb = {push: (ready) => ready(sdk)};
          waiting.map((ready) => ready(sdk));
          const complete = () => heard.map((tell) => tell(choices));
          if (choices) complete();
          return (yes) => { choices = {facebook_pixel: yes, $$completed: true}; complete(); };
        }""",
        frees=False,
    ),
    "borlabs": Manager(
        f"""
        (stored, free) => {{
          {_EMIT};
          let allowed = stored ?? free;
          const save = () => document.cookie = "borlabs-cookie=%7B%7D;path=/";
          window.BorlabsCookie = {{Consents: {{hasConsent: (id) => id == "meta-pixel" && !!allowed}}}};
          if (stored !== undefined) save();
          emit("borlabs-cookie-after-init");
          return (yes) => {{ allowed = yes; save(); emit("borlabs-cookie-consent-saved"); }};
        }}""",
        {"borlabs_service": "meta-pixel"},
    ),
    "complianz": Manager(
        f"""
        (stored, free) => {{
          {_EMIT};
          let allowed = stored ?? free;
          const save = () => document.cookie = `cmplz_marketing=${{allowed ? "allow" : "deny"}};path=/`;
          window.cmplz_has_consent = (category) => category == "marketing" && !!allowed;
          if (stored !== undefined) save();
          emit("cmplz_fire_categories", {{categories: allowed ? ["marketing"] : []}});
          return (yes) => {{
            allowed = yes;
            save();
            emit("cmplz_status_change", {{category: "marketing", value: yes ? "allow" : "deny"}});
          }};
        }}""",
    ),
    "consent_mode": Manager(
        """
        (stored, free) => {
          window.dataLayer ||= [];
          function gtag() { dataLayer.push(arguments); }
          const state = (yes) => ({ad_storage: yes ? "granted" : "denied", ad_user_data: yes ? "granted" : "denied"});
          gtag("consent", "default", state(free));
          if (stored !== undefined) gtag("consent", "update", state(stored));
          return (yes) => gtag("consent", "update", state(yes));
        }""",
    ),
    "cookiebot": Manager(
        """
        (stored, free) => {
          const hold = (answered, marketing) => {
            window.Cookiebot = {hasResponse: answered, consent: {marketing, method: answered ? "explicit" : null}};
          };
          hold(stored !== undefined, !!(stored ?? free));
          if (Cookiebot.hasResponse) dispatchEvent(new Event("CookiebotOnConsentReady"));
          return (yes) => {
            hold(true, yes);
            dispatchEvent(new Event(yes ? "CookiebotOnAccept" : "CookiebotOnDecline"));
          };
        }""",
    ),
    "cookiefirst": Manager(
        """
        (stored) => {
          const hold = (yes, event) => {
            CookieFirst.consent = {necessary: true, advertising: yes};
            dispatchEvent(new CustomEvent(event, {detail: CookieFirst.consent}));
          };
          window.CookieFirst = {consent: null};
          if (stored !== undefined) hold(stored, "cf_consent_loaded");
          return (yes) => hold(yes, "cf_consent");
        }""",
        frees=False,
    ),
    "cookieyes": Manager(
        f"""
        (stored, free) => {{
          {_EMIT};
          let allowed = !!(stored ?? free), answered = stored !== undefined;
          window.getCkyConsent = () => ({{isUserActionCompleted: answered, categories: {{advertisement: allowed}}}});
          emit("cookieyes_banner_load");
          return (yes) => {{ allowed = yes; answered = true; emit("cookieyes_consent_update"); }};
        }}""",
    ),
    "didomi": Manager(
        """
        (stored, free) => {
          const heard = [];
          let status = stored;
          const sdk = {
            isConsentRequired: () => !free,
            getObservableOnUserConsentStatusForVendor: (vendor) => ({
              subscribe(tell) {
                if (vendor != "c:facebook-abc") return;
                heard.push(tell);
                tell(status);
              },
            }),
          };
          const waiting = window.didomiOnReady || [];
          window.didomiOnReady = {push: (ready) => ready(sdk)};
          waiting.map((ready) => ready(sdk));
          return (yes) => { status = yes; heard.map((tell) => tell(status)); };
        }""",
        {"didomi_vendor": "c:facebook-abc"},
    ),
    "gpp": Manager(
        """
        (stored) => {
          const heard = [];
          const state = (yes, answered) => ({pingData: {
            signalStatus: answered ? "ready" : "not ready",
            applicableSections: answered ? [7] : [0],
            parsedSections: answered ? {usnat: [{SaleOptOut: yes ? 2 : 1, SharingOptOut: 2}, {Gpc: false}]} : {},
          }});
          let event = state(stored, stored !== undefined);
          window.__gpp = (command, tell) => { heard.push(tell); tell(event); };
          return (yes) => { event = state(yes, true); heard.map((tell) => tell(event)); };
        }""",
        frees=False,
    ),
    "iubenda": Manager(
        """
        (stored) => {
          const hold = (yes) => ({timestamp: "2026-01-01", purposes: {1: true, 4: !yes, 5: yes}});
          window._iub = {cs: {consent: stored === undefined ? {} : hold(stored)}};
          return (yes) => { _iub.cs.consent = hold(yes); };
        }""",
        tells=False,
        frees=False,
    ),
    "klaro": Manager(
        """
        (stored, free) => {
          const heard = new Set();
          const manager = {
            confirmed: stored !== undefined,
            consents: {"facebook-pixel": stored ?? free ?? false},
            watch: (watcher) => heard.add(watcher),
          };
          manager.savedConsents = {...manager.consents};
          window.klaro = {getManager: () => manager};
          const notify = (name) => heard.forEach((watcher) => watcher.update(manager, name));
          return (yes) => {
            manager.consents["facebook-pixel"] = yes;
            notify("consents");
            manager.confirmed = true;
            manager.savedConsents = {...manager.consents};
            notify("saveConsents");
          };
        }""",
        {"klaro_service": "facebook-pixel"},
    ),
    "onetrust": Manager(
        """
        (stored, free) => {
          let closed = stored !== undefined;
          const hold = (yes) => {
            window.OnetrustActiveGroups = yes ? ",C0001,C0002,C0004," : ",C0001,C0002,";
            dispatchEvent(new CustomEvent("OneTrustGroupsUpdated", {detail: OnetrustActiveGroups.split(",")}));
          };
          window.OneTrust = {IsAlertBoxClosed: () => closed};
          hold(stored ?? free);
          return (yes) => { closed = true; hold(yes); };
        }""",
    ),
    "osano": Manager(
        """
        (stored) => {
          const heard = [];
          let consent = stored === undefined ? undefined : {MARKETING: stored ? "ACCEPT" : "DENY"};
          window.Osano = {cm: {addEventListener(event, tell) {
            if (event != "osano-cm-consent-saved") return;
            heard.push(tell);
            if (consent) requestAnimationFrame(() => tell(consent));
          }}};
          return (yes) => {
            consent = {MARKETING: yes ? "ACCEPT" : "DENY"};
            heard.map((tell) => tell(consent));
          };
        }""",
        frees=False,
    ),
    "shopify": Manager(
        f"""
        (stored, free) => {{
          {_EMIT};
          let allowed = stored ?? free, marketing = stored === undefined ? "" : stored ? "yes" : "no";
          window.Shopify = {{customerPrivacy: {{
            marketingAllowed: () => !!allowed,
            saleOfDataAllowed: () => true,
            currentVisitorConsent: () => ({{marketing}}),
          }}}};
          return (yes) => {{
            allowed = yes;
            marketing = yes ? "yes" : "no";
            emit("visitorConsentCollected", {{marketingAllowed: yes}});
          }};
        }}""",
    ),
    "tarteaucitron": Manager(
        f"""
        (stored) => {{
          {_EMIT};
          window.tarteaucitron = {{state: {{facebookpixel: stored ?? "wait"}}}};
          return (yes) => {{ tarteaucitron.state.facebookpixel = yes; emit("tac.consent_updated"); }};
        }}""",
        frees=False,
    ),
    "tcf": Manager(
        """
        (stored) => {
          const heard = [];
          const state = (yes, eventStatus) => ({
            eventStatus,
            gdprApplies: true,
            purpose: {consents: {1: yes, 2: yes, 3: yes, 4: yes, 7: yes}},
            vendor: {consents: {}},
          });
          let data = state(stored, stored === undefined ? "cmpuishown" : "tcloaded");
          window.__tcfapi = (command, version, tell) => { heard.push(tell); tell(data, true); };
          return (yes) => { data = state(yes, "useractioncomplete"); heard.map((tell) => tell(data, true)); };
        }""",
        frees=False,
    ),
    "trustarc": Manager(
        """
        (stored, free) => {
          const hold = (yes, source) => ({consentDecision: yes ? [1, 2, 3] : source == "implied" ? 0 : [1], source});
          let decision = hold(stored ?? free, stored === undefined ? "implied" : "asserted");
          window.truste = {cma: {callApi: (name, host) => host == location.hostname && decision}};
          return (yes) => { decision = hold(yes, "asserted"); };
        }""",
        tells=False,
    ),
    "usercentrics": Manager(
        """
        (stored, free) => {
          const details = (yes, type) => ({consent: {type}, services: {
            a1: {name: "Meta Pixel", category: "marketing", consent: {given: yes, type}},
            b2: {name: "Shop", category: "essential", consent: {given: true, type}},
          }});
          let consent = details(!!(stored ?? free), stored === undefined ? "IMPLICIT" : "EXPLICIT");
          window.__ucCmp = {getConsentDetails: async () => consent};
          dispatchEvent(new Event("UC_UI_INITIALIZED"));
          return (yes) => { consent = details(yes, "EXPLICIT"); dispatchEvent(new CustomEvent("UC_CONSENT")); };
        }""",
        tells=False,
    ),
    "wordpress": Manager(
        f"""
        (stored, free) => {{
          {_EMIT};
          let allowed = stored ?? free;
          const save = () => document.cookie = `wp_consent_marketing=${{allowed ? "allow" : "deny"}};path=/`;
          window.wp_has_consent = (category) => category == "marketing" && !!allowed;
          if (stored !== undefined) save();
          return (yes) => {{ allowed = yes; save(); emit("wp_listen_for_consent_change", {{marketing: "allow"}}); }};
        }}""",
    ),
}


def site_of(*sources: str, **words: Any) -> Site:
    return Site.model_validate(
        {
            "name": "shop",
            "domains": ["shop.test"],
            "consent": "required",
            "consent_from": sources,
            "cmp": {key: value for name in sources for key, value in MANAGERS[name].words.items()} | words,
            "pixel": [{"id": "111", "access_token": "t"}],
        },
        context={"resolve": str},
    )


def install(name: str, stored: bool | None = None) -> str:  # noqa: FBT001 - what a visitor answers
    return f"window.answer = ({MANAGERS[name].stand_in})({'undefined' if stored is None else json.dumps(stored)})"


def click(answer: str) -> str:
    """Return a script that answers by a click on a button, as visitors of real consent managers do."""
    return f"""
      const button = document.body.appendChild(document.createElement("button"));
      button.onclick = () => answer({answer});
      button.click();
      button.remove()"""
