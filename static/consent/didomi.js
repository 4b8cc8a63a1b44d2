/**
 * Didomi: the consent to one vendor.
 *
 * @type {Adapter<string>}
 */
((say, vendor) =>
  (window.didomiOnReady ||= []).push((sdk) => {
    /** @param {boolean} [status] */
    const tell = (status) => say(status ?? !sdk.isConsentRequired(), status != null);
    tell();
    sdk.getObservableOnUserConsentStatusForVendor(vendor).subscribe(tell);
  }));
