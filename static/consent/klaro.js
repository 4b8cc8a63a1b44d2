/**
 * Klaro: one service by its name, as saved; switches that the visitor only tries count for nothing.
 *
 * @type {Adapter<string>}
 */
((say, service, watch) => {
  const look = () => {
    const manager = klaro.getManager();
    manager.watch(watcher);
    say((manager.savedConsents || manager.consents)[service], manager.confirmed);
  };
  const watcher = { update: look };
  watch(look);
});
