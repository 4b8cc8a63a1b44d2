/**
 * Osano: its category MARKETING; a listener that comes late is told what was saved before.
 *
 * @type {Adapter<void>}
 */
((say, _, watch) => {
  /** @type {unknown} */
  let manager;
  watch(() => {
    const { cm } = Osano;
    if (manager != cm)
      (manager = cm).addEventListener("osano-cm-consent-saved", ({ MARKETING }) => say(MARKETING == "ACCEPT"));
  }, "osano-cm-initialized");
});
