/**
 * Asks the chosen consent managers, and tells the tag a grant or a revoke whenever their common answer changes.
 *
 * A grant needs a yes of at least one of them and neither a no nor silence of any other. Silence is told only after a
 * grant, which it takes back. Adapters wait for consent managers that come late: what they look at is looked at again
 * after each wait of a fifth of the time waited so far, and afresh after each click, since an answer follows one.
 *
 * With `implied`, what is allowed without an answer of the visitor counts as a yes.
 *
 * @type {Ask}
 */
((tell, implied, ...sources) => {
  /** @type {unknown} */
  let lastVerb;
  /** @type {number} */
  let delay;
  let timer = 0;
  /** @type {(() => unknown)[]} */
  const looks = [];
  /** @type {(boolean | null | undefined)[]} */
  const answers = sources.map(() => undefined);

  const lookAgain = () => {
    looks.map(async (look) => {
      try {
        await look();
      } catch {}
    });
    timer = setTimeout(lookAgain, (delay *= 1.2));
  };

  const hurry = () => {
    clearTimeout(timer);
    delay = 8;
    lookAgain();
  };

  /** @param {string} event */
  const hurryAt = (event) => addEventListener(event, hurry, true);

  sources.map(([adapt, option], index) => {
    try {
      adapt(
        (allowed, answered = true) => {
          answers[index] = allowed === null ? null : answered || (implied && allowed) ? !!allowed : undefined;
          const refused = answers.includes(false);
          const granted = answers.includes(true) && !refused && !answers.includes(undefined);
          const verb = granted ? "grant" : refused || lastVerb ? "revoke" : undefined;
          if (verb && verb != lastVerb) tell((lastVerb = verb));
        },
        option,
        (look, ...events) => {
          looks.push(look);
          events.map(hurryAt);
        },
      );
    } catch {}
  });
  hurryAt("click");
  hurry();
});
