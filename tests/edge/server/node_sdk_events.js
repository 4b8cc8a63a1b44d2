// Events as programs make them with Meta's Node SDK: all fields for all sources, each alone, each word and name.

"use strict";

const sdk = require("facebook-nodejs-business-sdk");
const values = require("./node_sdk_fields");

const { agent, app, attribution, content, data, device, onePerson, original, person, set } = values;

const SOURCES = [
  ...["email", "website", "app", "phone_call", "chat", "physical_store"],
  ...["system_generated", "business_messaging", "other"],
];
const NAMES = [
  ...["AddPaymentInfo", "AddToCart", "AddToWishlist", "CompleteRegistration", "Contact", "CustomizeProduct", "Donate"],
  ...["FindLocation", "InitiateCheckout", "Lead", "PageView", "Purchase", "Schedule", "Search", "StartTrial"],
  ...["SubmitApplication", "Subscribe", "ViewContent", "Größe gewählt"],
];
const MESSAGES = [
  ...["AddToCart", "CartAbandoned", "InitiateCheckout", "LeadSubmitted", "OrderCanceled", "OrderCreated"],
  ...["OrderDelivered", "OrderReturned", "OrderShipped", "Purchase", "QualifiedLead", "RatingProvided"],
  ...["ReviewProvided", "ViewContent"],
];
const anybody = { Email: "nora.example@shop.example", ClientUserAgent: agent };
const whom = (values) => set(new sdk.UserData(), values);
const what = (values) => set(new sdk.CustomData(), values);
const extinfo = (values) => set(new sdk.ExtendedDeviceInfo(), values);
// An object of an app without its device cannot be written by this SDK.
const appData = (values, slots = device) => set(new sdk.AppData(), values).setExtinfo(extinfo(slots));
const each = (values) => Object.entries(values).map(([name, value]) => ({ [name]: value }));

module.exports = (mark, now) => {
  let number = 0;
  const plain = (name = "Purchase") =>
    new sdk.ServerEvent()
      .setEventName(name)
      .setEventTime(now - 60)
      .setEventId(`${mark}${number++}`)
      .setEventSourceUrl("https://shop.example/thank-you")
      .setActionSource("website")
      .setUserData(whom(anybody))
      .setCustomData(what({ Value: 129.5, Currency: "eur" }));

  const whole = (source = "website", values = person) => {
    const second = new sdk.Content().setId("sku-2").setQuantity(1).setItemPrice(110);
    const contents = [set(new sdk.Content(), content), second];
    return plain()
      .setEventId(`${mark}whole-${number}`)
      .setActionSource(source)
      .setOptOut(true)
      .setUserData(whom(values))
      .setCustomData(what(data).setContents(contents).setOrderId(`${mark}order-${number}`))
      .setAppData(appData(app))
      .setDataProcessingOptions(["LDU"])
      .setDataProcessingOptionsCountry(1)
      .setDataProcessingOptionsState(1000)
      .setAdvancedMeasurementTable("table-7")
      .setAdvertiserTrackingEnabled(false)
      .setMessagingChannel("whatsapp")
      .setOriginalEventData({ ...original, event_time: now - 120 })
      .setAttributionData({ ...attribution, visit_time: now - 9000, touchpoint_ts: now - 8000 });
  };

  const sources = () =>
    SOURCES.flatMap((source) => {
      const isMessage = source === "business_messaging";
      return (isMessage ? MESSAGES : NAMES).map((name) => {
        const event = plain(name).setActionSource(source);
        if (source === "app") event.setAppData(appData(app));
        if (isMessage) event.setUserData(whom({ CtwaClid: person.CtwaClid, PageId: person.PageId }));
        return isMessage ? event.setMessagingChannel("whatsapp") : event;
      });
    });

  // Each field of each object by itself, beside the least that Meta requires.
  const alone = () => [
    ...each({ ...person, ...onePerson }).map((values) =>
      plain("Lead").setUserData(whom({ Fbp: "fb.1.1700000000000.77", ClientUserAgent: agent, ...values }))
    ),
    ...each(data).map((values) => plain("Lead").setCustomData(what(values))),
    ...each(content).map((values) =>
      plain("AddToCart").setCustomData(what({ Contents: [set(new sdk.Content().setId("sku-1"), values)] }))
    ),
    ...each(app).map((values) => plain("Lead").setAppData(appData(values))),
    ...each(device).map((values) => {
      const slots = { ExtInfoVersion: "i2", OsVersion: "17.5", ...values };
      return plain("Lead").setActionSource("app").setAppData(appData({}, slots));
    }),
    ...each(original).map((values) => plain().setOriginalEventData(values)),
    ...each(attribution).map((values) => plain("Lead").setAttributionData(values)),
  ];

  const words = () => [
    ...Object.values(sdk.DeliveryCategory).map((category) =>
      plain("Lead").setCustomData(
        what({ DeliveryCategory: category, Contents: [new sdk.Content().setId("sku-1").setDeliveryCategory(category)] })
      )
    ),
    ...["f", "m", "Female", "male", "unknown"].map((gender) =>
      plain("Lead").setUserData(whom({ ...anybody, Genders: [gender, "f"] }))
    ),
  ];

  const edges = () => [
    plain().setEventTime(new Date((now - 60) * 1000)),
    plain().setCustomData(what({ Value: "129.50 EUR", NetRevenue: -12.5, Currency: "jpy", PredictedLtv: 0 })),
    plain().setOptOut(false),
    plain().setDataProcessingOptions([]),
    plain().setDataProcessingOptions(["LDU"]),
    plain().setDataProcessingOptions(["LDU"]).setDataProcessingOptionsCountry(0).setDataProcessingOptionsState(0),
    plain("Lead").setCustomData(what({ CustomProperties: { empty: "", none: null, no: false, lone: undefined } })),
    plain("Lead").setCustomData(what({ ContentIds: [], Contents: [] })),
    plain("Lead").setCustomData(null),
    plain("Lead").setActionSource("WEBSITE"),
    plain("Lead").setEventTime(now - 6 * 86400),
    plain().setActionSource("physical_store").setEventTime(now - 61 * 86400),
    plain("Converted")
      .setActionSource("system_generated")
      .setUserData(whom({ LeadId: "2847561037465123" }))
      .setCustomData(what({ CustomProperties: { event_source: "crm", lead_event_source: "Nice CRM" } })),
  ];

  const old = () => plain().setEventTime(now - 30 * 86400);
  // What Graph refuses, by what is wrong with it, and an event with which nothing is wrong.
  const cases = {
    plain: () => [plain()],
    "too old": () => [old()],
    "in the future": () => [plain().setEventTime(now + 86400)],
    "in milliseconds": () => [plain().setEventTime(now * 1000)],
    "no value": () => [plain().setCustomData(what({ Currency: "eur" }))],
    "no currency": () => [plain().setCustomData(what({ Value: 12.5 }))],
    "little identity": () => [plain().setUserData(whom({ Country: "de", ClientUserAgent: agent }))],
    "no identity": () => [plain().setUserData(whom({}))],
    "no message": () => [plain("Lead").setActionSource("business_messaging")],
    "no device": () => [plain("Lead").setActionSource("app")],
    "no lead": () => [plain("Lead").setUserData(whom({ LeadId: "12", Email: "nora@shop.example" }))],
    "no source": () => [plain().setActionSource("")],
    "the second": () => [plain(), old()],
    "no events": () => [],
    "1,001 events": () => Array.from({ length: 1001 }, () => plain()),
    // Its writer of JSON makes no mistakes, but an event may be whatever can be normalised.
    "not JSON": () => [plain(), { normalize: () => '{"event_name": "Purchase", "custom_data": {"value": NaN' }],
    "too large": () => [plain().setCustomData(what({ Value: 1, Currency: "eur", Status: "x".repeat(17e6) }))],
  };

  return { SOURCES, plain, whole, onePerson: () => whole("website", onePerson), sources, alone, words, edges, cases };
};
