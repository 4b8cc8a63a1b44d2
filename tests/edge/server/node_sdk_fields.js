// A value for every setter of Meta's Node SDK; reflection says when it has a setter or a class more.

"use strict";

const sdk = require("facebook-nodejs-business-sdk");

const agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";

// Setters of single values; the same fields as the lists below.
const onePerson = {
  Email: "nora.example@shop.example",
  Phone: "+49 30 901820",
  Gender: "female",
  DateOfBirth: "19900102",
  LastName: "Beispiel",
  FirstName: "Nora",
  City: "Bad Homburg",
  State: "he",
  Country: "de",
  Zip: "61348",
  ExternalId: "customer-4711",
};
const person = {
  Emails: ["nora.example@shop.example", "n.other@shop.example"],
  Phones: ["+49 30 901820", "0043 1 5880000"],
  Genders: ["f", "m"],
  DatesOfBirth: ["19900102", "19900201"],
  LastNames: ["Beispiel", "Müller-Weiß"],
  FirstNames: ["Nora", "Élodie"],
  Cities: ["Bad Homburg", "Zürich"],
  States: ["he", "zh"],
  Countries: ["de", "ch"],
  Zips: ["61348", "8001"],
  ExternalIds: ["customer-4711", "4711"],
  ClientIpAddress: "93.184.216.34",
  ClientUserAgent: agent,
  Fbc: "fb.1.1700000000000.AbCdEf",
  Fbp: "fb.1.1700000000000.1116446470",
  SubscriptionId: "sub-77",
  FbLoginId: "2847561",
  LeadId: "2847561037465123",
  F5First: "noran",
  F5Last: "beispiel",
  Fi: "n",
  Dobd: "2",
  Dobm: "01",
  Doby: "1990",
  Madid: "38400000-8cf0-11bd-b23e-10b96e40000d",
  AnonId: "XZ8f2b1c-77",
  AppUserId: "app-user-77",
  CtwaClid: "ARAkLkA8rmlFeiCktEJQ-QTwRiyYHAFDLMNDBH0CD3qpjd0HR4irJ6LEkR7JwFF4XvnO2E4Nx0",
  PageId: "104857600000001",
};
const content = {
  Id: "sku-1",
  Quantity: 2,
  ItemPrice: 9.75,
  Title: "Mug",
  Description: "A large mug",
  Brand: "Töpferei",
  Category: "Kitchen > Mugs",
  DeliveryCategory: "curbside",
};
const device = {
  ExtInfoVersion: "a2",
  AppPackageName: "com.shop.example",
  ShortVersion: "1.2",
  LongVersion: "1.2.3",
  OsVersion: "13.4.1",
  DeviceModelName: "Pixel 7",
  Locale: "en_US",
  TimezoneAbbreviation: "CEST",
  Carrier: "Telefonica",
  ScreenWidth: 1080,
  ScreenHeight: 2400,
  ScreenDensity: 2.75,
  CpuCoreCount: 8,
  TotalDiskSpaceGb: 128,
  FreeDiskSpaceGb: 64,
  DeviceTimeZone: "Europe/Berlin",
};
const app = {
  ApplicationTrackingEnabled: true,
  AdvertiserTrackingEnabled: false,
  CampaignIds: "23849000000",
  ConsiderViews: true,
  IncludeDwellData: false,
  IncludeVideoData: true,
  InstallReferrer: "utm_source=spring",
  InstallerPackage: "com.android.vending",
  ReceiptData: "MIISbwYJKoZIhvcNAQcCoIISYDCCElwCAQExCzAJ",
  UrlSchemes: ["shop", "shop-beta"],
  WindowsAttributionId: "win-77",
};
const data = {
  Value: 129.5,
  NetRevenue: "99.25",
  Currency: "eur",
  ContentName: "Mugs",
  ContentCategory: "Kitchen",
  ContentIds: ["sku-1", "sku-2"],
  ContentType: "product",
  PredictedLtv: 400,
  NumItems: 3,
  SearchString: "large mugs",
  ItemNumber: "item-9",
  DeliveryCategory: "home_delivery",
  CustomProperties: { coupon: "WELCOME10", steps: [1, { deep: true }], share: 0.25 },
  Status: "registered",
};
// The SDK exports no class of these two, so programs give it objects.
const original = { event_name: "Purchase", order_id: "1001-7", event_id: "first-77" };
const attribution = {
  scope: "click",
  ad_id: "23849000001",
  adset_id: "23849000002",
  campaign_id: "23849000003",
  attribution_share: 0.5,
  attribution_model: "linear",
  attr_window: 7,
  attribution_value: 64.75,
  attribution_source: "MMP",
  touchpoint_type: "click",
  attribution_method: "deeplink",
  decline_reason: "duplicated",
  auditing_token: "audit-7f3a",
  linkage_key: "link-7f3a",
  attribution_setting: { inactivity_window_hours: 24, reattribution_window_hours: 0 },
};
const fields = {
  TestEventCode: "TEST77",
  NamespaceId: "104857600000002",
  UploadId: "upload-77",
  UploadTag: "tag-7",
  UploadSource: "till",
  PartnerAgent: "shop-7",
};

const set = (object, values) => {
  for (const [name, value] of Object.entries(values)) object[`set${name}`](value);
  return object;
};

// Each setter of a class that the SDK has; who calls one is noted.
const called = new Map();
const settersOf = (owner) => Object.getOwnPropertyNames(owner.prototype).filter((name) => /^set[A-Z]/.test(name));
const watched = [...Object.entries(sdk)].filter(
  ([, owner]) => typeof owner === "function" && Object.prototype.hasOwnProperty.call(owner.prototype || {}, "normalize")
);
for (const [name, owner] of [...watched, ["EventRequest", sdk.EventRequest]]) {
  called.set(name, new Set(settersOf(owner)));
  for (const setter of settersOf(owner)) {
    const own = owner.prototype[setter];
    owner.prototype[setter] = function (...values) {
      called.get(name).delete(setter);
      return own.apply(this, values);
    };
  }
}

// The setters that nobody called, and properties without a setter of that name, which are those of a later version.
const unsent = () => {
  const never = [...called].flatMap(([name, setters]) => [...setters].map((setter) => `${name}.${setter}`));
  const without = [...called.keys()].flatMap((name) => {
    const owner = sdk[name].prototype;
    const setters = new Set(settersOf(sdk[name]).map((setter) => setter.slice(3).toLowerCase()));
    const properties = Object.entries(Object.getOwnPropertyDescriptors(owner)).filter(([, own]) => own.set);
    return properties
      .map(([property]) => property)
      .filter((property) => !setters.has(property.replace(/_/g, "").toLowerCase()))
      .map((property) => `${name}.${property}`);
  });
  return [...never, ...without];
};

module.exports = { agent, app, attribution, content, data, device, fields, onePerson, original, person, set, unsent };
