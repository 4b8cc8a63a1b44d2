/**
 * tarteaucitron.js: one service by its key; "wait" until the visitor answers.
 *
 * @type {Adapter<string>}
 */
((say, service, watch) =>
  watch(() => {
    const state = tarteaucitron.state[service];
    say(state === true, typeof state == "boolean");
  }, "tac.consent_updated"));
