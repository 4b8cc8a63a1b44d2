/**
 * Didomi: the consent to one vendor.
 *
 * @type {Adapter<string>}
 */
((say, vendor) =>
  (window.didomiOnReady ||= []).push((sdk) =>
    sdk.isConsentRequired()
      ? sdk
          .getObservableOnUserConsentStatusForVendor(vendor)
          .subscribe((status) => say(status, status != null))
      : say(true, false),
  ));
