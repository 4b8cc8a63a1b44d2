// Express with Meta's Node SDK, as the SDK's page shows it (Meta, Conversions API, Using the API).
// Each event is built, normalised and hashed by the SDK; only EventRequest.execute, which would send, is left out.

const express = require("express");
const { Content, CustomData, ServerEvent, UserData } = require("facebook-nodejs-business-sdk");

const userData = (request, visit, match) => {
  const user = new UserData()
    .setClientIpAddress(request.get("x-forwarded-for"))
    .setClientUserAgent(request.get("user-agent"))
    .setFbp(visit.fbp);
  if (visit.fbc) user.setFbc(visit.fbc);
  if (match.em) user.setEmail(match.em);
  if (match.ph) user.setPhone(match.ph);
  if (match.fn) user.setFirstName(match.fn);
  if (match.ln) user.setLastName(match.ln);
  if (match.ct) user.setCity(match.ct);
  if (match.zp) user.setZip(match.zp);
  if (match.country) user.setCountry(match.country);
  if (match.external_id) user.setExternalId(match.external_id);
  return user;
};

const content = (item) => new Content().setId(item.id).setQuantity(item.quantity).setItemPrice(item.item_price);

const customData = (data) => {
  const custom = new CustomData().setValue(data.value).setCurrency(data.currency);
  if (data.content_name) custom.setContentName(data.content_name);
  if (data.content_category) custom.setContentCategory(data.content_category);
  if (data.content_ids) custom.setContentIds(data.content_ids);
  if (data.content_type) custom.setContentType(data.content_type);
  if (data.contents) custom.setContents(data.contents.map(content));
  if (data.order_id) custom.setOrderId(data.order_id);
  if (data.num_items) custom.setNumItems(data.num_items);
  return custom;
};

const app = express();
app.disable("x-powered-by");
app.disable("etag");
// The tag posts its JSON as text/plain, so that browsers ask for no preflight.
app.use(express.json({ type: "*/*" }));
app.post("/bench/e", (request, response) => {
  const visit = request.body;
  for (const event of visit.events) {
    const built = new ServerEvent()
      .setEventName(event.name)
      .setEventTime(Math.floor(event.at / 1000))
      .setEventId(event.id)
      .setEventSourceUrl(visit.url)
      .setActionSource("website")
      .setUserData(userData(request, visit, visit.match[event.pixels[0]] ?? {}));
    if (event.data.currency) built.setCustomData(customData(event.data));
    built.normalize();
  }
  response.status(204).end();
});
app.listen(Number(process.argv[2]), "127.0.0.1");
