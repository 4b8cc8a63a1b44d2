/**
 * OneTrust: the groups that are active, and whether its banner was closed.
 *
 * @type {Adapter<string>}
 */
((say, group, watch) =>
  watch(
    () => say(OnetrustActiveGroups.split(",").includes(group), OneTrust.IsAlertBoxClosed()),
    "OneTrustGroupsUpdated",
    "OTConsentApplied",
  ));
