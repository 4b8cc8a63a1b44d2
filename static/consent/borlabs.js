/**
 * Borlabs Cookie, versions 2 and 3: one service by its id; its cookie stands once the visitor has answered.
 *
 * @type {Adapter<string>}
 */
((say, service, watch) =>
  watch(
    () =>
      say(
        BorlabsCookie.Consents ? BorlabsCookie.Consents.hasConsent(service) : BorlabsCookie.checkCookieConsent(service),
        /borlabs-cookie=/.test(document.cookie),
      ),
    "borlabs-cookie-after-init",
    "borlabs-cookie-consent-saved",
  ));
