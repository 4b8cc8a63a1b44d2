/**
 * CookieYes: its category advertisement.
 *
 * @type {Adapter<void>}
 */
((say, _, watch) =>
  watch(
    () => {
      const { categories, isUserActionCompleted } = getCkyConsent();
      say(categories.advertisement, isUserActionCompleted);
    },
    "cookieyes_banner_load",
    "cookieyes_consent_update",
  ));
