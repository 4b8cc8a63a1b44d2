/**
 * Axeptio: one vendor by its name.
 *
 * @type {Adapter<string>}
 */
((say, vendor) =>
  (window._axcb ||= []).push((sdk) => {
    const accepted = sdk.hasAcceptedVendor(vendor);
    say(accepted, accepted);
    sdk.on("cookies:complete", (choices) => say(choices[vendor]));
  }));
