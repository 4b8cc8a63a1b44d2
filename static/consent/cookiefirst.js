/**
 * CookieFirst: its category advertising; there is no consent object before an answer.
 *
 * @type {Adapter<void>}
 */
((say, _, watch) =>
  watch(() => say(CookieFirst.consent?.advertising, CookieFirst.consent), "cf_consent", "cf_consent_loaded"));
