/**
 * Shopify's Customer Privacy API: marketing and the sale of data must both be allowed.
 *
 * @type {Adapter<void>}
 */
((say, _, watch) =>
  watch(() => {
    const { customerPrivacy } = Shopify;
    say(
      customerPrivacy.marketingAllowed() && customerPrivacy.saleOfDataAllowed(),
      customerPrivacy.currentVisitorConsent().marketing,
    );
  }, "visitorConsentCollected"));
