/**
 * Complianz: its category marketing; its cookie stands once the visitor has answered.
 *
 * @type {Adapter<void>}
 */
((say, _, watch) =>
  watch(
    () => say(cmplz_has_consent("marketing"), /cmplz_\w*marketing=/.test(document.cookie)),
    "cmplz_fire_categories",
    "cmplz_status_change",
  ));
