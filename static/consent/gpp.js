/**
 * IAB Global Privacy Platform 1.1, its sections of the United States: `__gpp`.
 *
 * A no is an opt-out of sale, sharing or targeted advertising, or Global Privacy Control, in any of these sections; a
 * yes is a section in force without one, or that no section is in force. Other sections are for other adapters.
 *
 * @type {Adapter<void>}
 */
((say, _, watch) => {
  /** @type {Window["__gpp"]} */
  let api;
  watch(() => {
    if (api == window.__gpp) return;
    api = window.__gpp;
    api?.("addEventListener", ({ pingData: { signalStatus, applicableSections: ids, parsedSections } }) => {
      if (signalStatus != "ready") return;
      const sections = `${JSON.stringify(parsedSections)}`;
      const refused = /"(SaleOptOut|SharingOptOut|TargetedAdvertisingOptOut|Gpc)":(1|true)|"OptOutSale":"Y/.test(sections);
      // Sections 1 to 5 are those of the European Union and Canada, 6 and up those of the United States.
      const elsewhere = ids.some((id) => id > 0 && id < 6);
      const free = ids.includes(-1) || (ids.some((id) => id > 5) && /"us/.test(sections));
      say(refused ? false : elsewhere ? null : free, refused || free);
    });
  });
});
