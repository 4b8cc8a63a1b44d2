/**
 * IAB Transparency and Consent Framework 2.2 and 2.3: `__tcfapi`, its own or the one that stands in until it loads.
 *
 * A yes needs the consent (never a legitimate interest) for all purposes, and of the vendor and of Google's ad
 * technology provider where these are given. Where the GDPR does not apply, nothing needs to be asked.
 *
 * @type {Adapter<[purposes: number[], vendor: number, provider: number]>}
 */
((say, [purposes, vendor, provider], watch) => {
  /** @type {Window["__tcfapi"]} */
  let api;
  watch(() => {
    if (api == window.__tcfapi) return;
    api = window.__tcfapi;
    api?.("addEventListener", 2, ({ eventStatus, gdprApplies, purpose, vendor: vendors, addtlConsent }, ok) => {
      if (ok && gdprApplies === false) say(true);
      else if (ok && /^(tcloaded|useractioncomplete)$/.test(eventStatus))
        say(
          purposes.every((id) => purpose.consents[id]) &&
            (!vendor || vendors.consents[vendor]) &&
            // "2~ids~dv.ids": those with consent, then those only shown.
            (!provider || addtlConsent?.split("~")[1]?.split(".").includes(`${provider}`)),
        );
    });
  });
});
