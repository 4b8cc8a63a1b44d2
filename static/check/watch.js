// The overlay of the install check, part 3 of 3: what the tag tells, and what passes between it and the proxy.

/** @typedef {{ name: string, id: string, pixels: string[], pixel?: string }} Watched */

/** @type {WeakMap<any[], Row>} */
const rowOf = new WeakMap();
/** @type {{ row: Row, event: Watched }[]} */
const watched = [];

/** @param {string} name @param {string} id */
const rowsOf = (name, id) => watched.filter(({ event }) => event.name == name && event.id == id);

/** @type {Record<string, ["good" | "bad" | "open", string]>} */
const PIXEL = {
  fired: ["good", "fired"],
  blocked: ["bad", "blocked: the Pixel did not load, or took no call"],
  pending: ["open", "not known yet"],
};

const look = () => watched.map(({ row, event }) => event.pixel && say(row.pixel, ...PIXEL[event.pixel]));
const looking = setInterval(look, 250);
setTimeout(() => clearInterval(looking), shown);

const observer = {
  /** @param {any[]} values @param {unknown} command */
  call: (values, command) => {
    const row = addRow([command, ...values].map(word).filter(Boolean).slice(0, 3).join(" "));
    rowOf.set(values, row);
    if (!/^(track|report)/.test(word(command))) {
      // A call that is no event is obeyed by both, and leaves nothing to wait for.
      say(row.pixel, "", "no event");
      say(row.proxy, "", "nothing to send");
    }
  },

  /** @param {any[]} values @param {Watched} event */
  event: (values, event) => {
    const row = rowOf.get(values);
    if (!row) return;
    row.id.textContent = event.id;
    if (!event.pixels[0]) {
      say(row.pixel, "open", "takes none: no fbq('init') before it, or the page's PageView once more");
      say(row.proxy, "", "not mirrored, as the Pixel takes none");
      return;
    }
    say(row.pixel, ...PIXEL.pending);
    say(row.proxy, "open", "not sent yet");
    watched.push({ row, event });
    if (watched.length > MOST_ROWS) watched.shift();
  },
};

/** @param {any} batch @param {number} status @param {any} answer */
const answered = (batch, status, answer) => {
  const refused = new Map((answer?.refused || []).map((/** @type {any} */ one) => [one.index, one.why]));
  const dropped = new Map((answer?.dropped || []).map((/** @type {any} */ one) => [one.name + "\n" + one.id, one.reason]));
  (batch.events || []).map((/** @type {any} */ event, /** @type {number} */ index) =>
    rowsOf(event.name, event.id).map(({ row }) => {
      if (refused.has(index)) say(row.proxy, "bad", `refused (${status}): ${refused.get(index)}`);
      else if (dropped.has(`${event.name}\n${event.id}`))
        say(row.proxy, "bad", `not sent on to Meta: ${dropped.get(`${event.name}\n${event.id}`)}`);
      else if (status < 300) say(row.proxy, "good", `taken (${status})`);
      else say(row.proxy, "bad", `refused (${status}): ${answer?.error || "no reason given"}`);
    }),
  );
};

/** @param {any} batch @param {string} text */
const failed = (batch, text) =>
  (batch.events || []).map((/** @type {any} */ event) =>
    rowsOf(event.name, event.id).map(({ row }) => say(row.proxy, "bad", text)),
  );

/** @param {string} address @param {any} options what the tag sends goes out as ever, and its answer comes back so */
const observed = async (address, options) => {
  const batch = JSON.parse(options.body);
  try {
    const answer = await fetch(address, options);
    const again = answer.clone();
    again.json().then(
      (document) => answered(batch, answer.status, document),
      () => answered(batch, answer.status, null),
    );
    return answer;
  } catch (problem) {
    failed(batch, "no answer: the network, a blocker or the server in front; it is tried again");
    throw problem;
  }
};
