// Meta's Node SDK, unmodified, as a program of its own: sends cases to a host, and prints how each was answered.
//
// Arguments: the host with its path, the access token, the pixel, a mark that all event ids begin with, the time in
// seconds, and names of cases; none means all that are good. NODE_PATH says where the SDK is.

"use strict";

const sdk = require("facebook-nodejs-business-sdk");

const [base, token, pixel, mark, at, ...names] = process.argv.slice(2);
const now = Number(at);
const agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";

const person = () => new sdk.UserData().setEmail("nora.example@shop.example").setClientUserAgent(agent);
const money = () => new sdk.CustomData().setValue(129.5).setCurrency("eur");
const event = (name, id = name) =>
  new sdk.ServerEvent()
    .setEventName("Purchase")
    .setEventTime(now - 60)
    .setEventId(mark + id)
    .setEventSourceUrl("https://shop.example/thank-you")
    .setActionSource("website")
    .setUserData(person())
    .setCustomData(money());

const wholePerson = () =>
  new sdk.UserData()
    .setEmails(["nora.example@shop.example", "n.other@shop.example"])
    .setPhones(["+49 30 901820"])
    .setFirstName("Nora")
    .setLastName("Beispiel")
    .setCity("Bremen")
    .setState("hb")
    .setZip("28195")
    .setCountry("de")
    .setDateOfBirth("19900102")
    .setExternalId("customer-4711")
    .setClientIpAddress("93.184.216.34")
    .setClientUserAgent(agent)
    .setFbc("fb.1.1700000000000.AbCdEf")
    .setFbp("fb.1.1700000000000.1116446470")
    .setLeadId("2847561037465123")
    .setSubscriptionId("sub-77");

const goods = () =>
  money()
    .setContentName("Mugs")
    .setContentCategory("Kitchen")
    .setContentIds(["sku-1", "sku-2"])
    .setContents([
      new sdk.Content().setId("sku-1").setQuantity(2).setItemPrice(9.75).setTitle("Mug"),
      new sdk.Content().setId("sku-2").setQuantity(1).setItemPrice(110),
    ])
    .setContentType("product")
    .setOrderId("1002-7")
    .setNumItems(3)
    .setCustomProperties({ coupon: "WELCOME10" });

const phone = () =>
  new sdk.AppData()
    .setApplicationTrackingEnabled(true)
    .setAdvertiserTrackingEnabled(true)
    .setExtinfo(new sdk.ExtendedDeviceInfo().setExtInfoVersion("a2").setOsVersion("13.4.1"));

const good = {
  plain: () => [event("plain")],
  "whole-person": () => [event("whole-person").setUserData(wholePerson())],
  goods: () => [event("goods").setCustomData(goods())],
  limited: () => [
    event("limited").setDataProcessingOptions(["LDU"]).setDataProcessingOptionsCountry(1).setDataProcessingOptionsState(1000),
  ],
  app: () => [event("app").setActionSource("app").setAppData(phone())],
  till: () => [event("till").setActionSource("physical_store")],
  chat: () => [event("chat").setEventName("Contact").setActionSource("chat")],
  custom: () => [event("custom").setEventName("Größe gewählt").setCustomData(new sdk.CustomData().setCustomProperties({ x: 1 }))],
};
const bad = {
  "too-old": () => [event("too-old").setEventTime(now - 30 * 86400)],
  future: () => [event("future").setEventTime(now + 86400)],
  "no-value": () => [event("no-value").setCustomData(new sdk.CustomData().setCurrency("eur"))],
  "too-broad": () => [event("too-broad").setUserData(new sdk.UserData().setCountry("de").setClientUserAgent(agent))],
  "second-is-bad": () => [event("first"), event("second").setEventTime(now - 30 * 86400)],
  nothing: () => [],
  "too-many": () => Array.from({ length: 1001 }, (_, number) => event("many", `many-${number}`)),
};

const sent = async (name) => {
  const request = new sdk.EventRequest(token, pixel, (bad[name] || good[name])());
  if (name === "goods") request.setPartnerAgent("shop-7").setUploadTag("tag-7").setTestEventCode("TEST77");
  try {
    const answer = await request.execute();
    return { received: answer.events_received, messages: answer.messages, trace: answer.fbtrace_id };
  } catch (error) {
    const { code, error_subcode: subcode = null, type, message, is_transient, error_data } = error.response || {};
    const blame = (error_data && error_data.blame_field_specs) || null;
    const shows_token = String(error).includes(token);
    return { status: error.status, code, subcode, type, message, blame, is_transient, shows_token };
  }
};

const main = async () => {
  Object.defineProperty(sdk.FacebookAdsApi, "GRAPH", { get: () => base });
  sdk.FacebookAdsApi.init(token);
  const answers = {};
  for (const name of names.length ? names : Object.keys(good)) answers[name] = await sent(name);
  console.log(JSON.stringify(answers));
};

main();
