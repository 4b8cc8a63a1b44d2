/**
 * WP Consent API of WordPress: its category marketing; its cookie stands once the visitor has answered.
 *
 * @type {Adapter<void>}
 */
((say, _, watch) =>
  watch(
    () => say(wp_has_consent("marketing"), /wp_consent_marketing=/.test(document.cookie)),
    "wp_listen_for_consent_change",
  ));
