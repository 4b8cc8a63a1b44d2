// The tag, part 4 of 7: commands of `fbq` that are no events.

/** @param {any} id @param {unknown} [match] */
const init = (id, match) => {
  if (id > 0) pixels[id] = { ...copy(match), ...pixels[id] };
};

/** @type {Record<string, (...values: any[]) => void>} */
const commands = {
  init,
  addPixelId: init,

  consent(verb) {
    if (verb == "grant") {
      onHold = false;
      consent = "granted";
    }
    if (verb == "revoke") {
      if (viewed && !onHold) {
        writeCookie("_fbp", "");
        writeCookie("_fbc", "");
        unshelve();
        batches = [{ consent: "revoked" }];
      }
      onHold = true;
    }
    queueMicrotask(flush);
  },

  dataProcessingOptions(...values) {
    // The Pixel takes one argument or three, and ignores two.
    if (values.length == 2) return;
    draft = {};
    dpo = values;
  },

  set(key, value, id) {
    if (key == "userData") Object.keys(pixels).map((pixel) => (pixels[pixel] = { ...pixels[pixel], ...copy(value) }));
    cookieless ||= key == "firstPartyCookies" && !value;
    if (key == "trackSingleOnly") singleOnly[id] = value;
  },
};
