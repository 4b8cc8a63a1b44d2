/**
 * Google Consent Mode 2, as a page writes it into its data layer: `gtag("consent", "default" | "update", …)`.
 *
 * Both `ad_storage` and `ad_user_data` must be granted. A default is no answer of the visitor. Of defaults for regions,
 * which a page cannot tell apart, only denials count.
 *
 * @type {Adapter<string>}
 */
((say, name, watch) => {
  const page = /** @type {any} */ (window);
  /** @type {any} */
  let layer;
  /** @type {Record<string, string>} */
  const said = {};
  let answered = false;

  /** @param {ArrayLike<any>} entry */
  const hear = (entry) => {
    try {
      const { 0: word, 1: kind, 2: state } = entry;
      if (word != "consent") return;
      const update = kind == "update";
      const types = ["ad_storage", "ad_user_data"];
      for (const type of types)
        if (state[type] == "denied" || (state[type] && (update || !(state.region || said[type]))))
          said[type] = state[type];
      answered ||= update;
      say(
        types.every((type) => said[type] == "granted"),
        answered,
      );
    } catch {}
  };

  watch(() => {
    if (layer == page[name]) return;
    layer = page[name];
    const { push } = layer;
    /** @param {any[]} entries */
    layer.push = (...entries) => {
      entries.map(hear);
      return push.apply(layer, entries);
    };
    [...layer].map(hear);
  });
});
