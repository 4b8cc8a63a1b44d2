/**
 * Cookiebot: its category marketing; consent by merely going on ("implied") is no answer.
 *
 * @type {Adapter<void>}
 */
((say, _, watch) =>
  watch(
    () => say(Cookiebot.consent.marketing, Cookiebot.hasResponse && Cookiebot.consent.method != "implied"),
    "CookiebotOnConsentReady",
    "CookiebotOnAccept",
    "CookiebotOnDecline",
  ));
