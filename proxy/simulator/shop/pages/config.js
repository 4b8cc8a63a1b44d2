// What the Pixel fetches for each pixel id; until it has run, every call of the page waits.
fbq.registerPlugin("PIXEL_ID", {
  plugin: function (fbq, instance, id) {
    instance.optIn(id, "FirstPartyCookies");
    instance.configLoaded(id);
  },
});
