/**
 * Usercentrics, versions 2 and 3: one service by its name, or all services of the category marketing.
 *
 * @type {Adapter<string>}
 */
((say, name, watch) =>
  watch(
    async () => {
      const details = await window.__ucCmp?.getConsentDetails();
      const services = Object.values(details?.services || UC_UI.getServicesBaseInfo()).filter(
        (service) => (name ? service.name : service.categorySlug || service.category) == (name || "marketing"),
      );
      if (services[0])
        say(
          services.every(({ consent }) => consent?.given || consent?.status),
          details ? details.consent.type == "EXPLICIT" : !UC_UI.isConsentRequired(),
        );
    },
    "UC_CONSENT",
    "UC_UI_CMP_EVENT",
    "UC_UI_INITIALIZED",
  ));
