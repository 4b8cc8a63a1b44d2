/**
 * TrustArc: one category by its number; "asserted" is what the visitor chose.
 *
 * @type {Adapter<number>}
 */
((say, category, watch) =>
  watch(() => {
    const { consentDecision, source } = truste.cma.callApi("getGDPRConsentDecision", location.hostname);
    say([consentDecision].flat().includes(category), source == "asserted");
  }));
