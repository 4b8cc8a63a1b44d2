/**
 * iubenda: one purpose by its number, or the whole consent where the banner asks for no purposes.
 *
 * @type {Adapter<number>}
 */
((say, purpose, watch) =>
  watch(() => {
    const { timestamp, consent, purposes } = _iub.cs.consent;
    say(purposes ? purposes[purpose] : consent, timestamp);
  }));
