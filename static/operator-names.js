/** What the dashboard calls match keys, consent, redactions, refusals and the doctor's findings. */

/** @type {Record<string, string>} Match keys by Meta's names. */
export const MATCH_KEYS = {
  em: "e-mail address",
  ph: "phone number",
  fn: "first name",
  ln: "last name",
  ge: "gender",
  db: "date of birth",
  ct: "city",
  st: "state",
  zp: "postcode",
  country: "country",
  external_id: "id of the shop (external_id)",
  fbp: "browser id (fbp)",
  fbc: "click id (fbc)",
  client_ip_address: "address of the visitor",
  client_user_agent: "user agent",
  lead_id: "lead id",
  subscription_id: "subscription id",
  fb_login_id: "Facebook login id",
  madid: "advertising id of an app",
  anon_id: "id of an app’s installation",
  ctwa_clid: "click id of an ad to WhatsApp",
  page_id: "id of a Facebook page",
  page_scoped_user_id: "id of a Messenger user",
  ig_account_id: "id of an Instagram account",
  ig_sid: "id of an Instagram user",
};

/** @type {Record<string, string>} */
const CONSENTS = {
  granted: "the visitor agreed",
  unknown: "the visitor said nothing",
  revoked: "the visitor refused",
  not_asked: "the server that sent it answers for it",
};

/** @type {Record<string, string>} */
const CONSENT_SOURCES = {
  pixel: "by the Pixel’s own consent",
  required: "by the setting consent = \"required\"",
  noscript: "in a browser without scripts",
  server: "by the server that sent it",
};

/** Return what a visitor had said, and what told it. @param {{ consent?: string, consent_source?: string }} event */
export const consentText = ({ consent = "", consent_source: source = "" }) => {
  if (!consent) return "not recorded";
  const told = source ? `, ${CONSENT_SOURCES[source] || `told by ${source.replaceAll("_", " ")}`}` : "";
  return `${consent} (${CONSENTS[consent] || consent}${told})`;
};

/** @type {Record<string, string>} */
const TAKEN_OUT = {
  email: "an e-mail address",
  phone: "a phone number",
  card: "a card number",
  iban: "an account number (IBAN)",
  jwt: "a signed token",
  token: "a token",
  coordinates: "coordinates",
  user: "a user name in an address",
  fragment: "the part of an address behind #",
  parameter: "parameters of an address",
  key: "a key that names contact data",
  unread: "what could not be read",
};

/** @type {Record<string, string>} */
const TAKEN_FROM = { url: "the page’s address", referrer: "the referrer", custom_data: "custom data" };

/** @param {string} redaction what, and from where: "email:url" */
export const redactionText = (redaction) => {
  const [what, where] = redaction.split(":");
  return `${TAKEN_OUT[what] || what} from ${TAKEN_FROM[where] || where || "it"}`;
};

/** @type {Record<string, string>} Why requests of an origin were refused. */
export const REFUSALS = {
  foreign_origin: "no site lists this origin",
  insecure_origin: "the page came by plain http, and the site is served by https",
  unknown_host: "no site has this host",
};

/** @type {Record<string, string>} What findings of the doctor are about. */
export const GROUPS = {
  configuration: "Configuration",
  machine: "This machine",
  database: "Database",
  names: "Domain names",
  tls: "Certificates",
  tag: "The tag",
  page: "Pages of the site",
  round_trip: "A full round trip",
  graph: "Meta",
};

/** @type {Record<string, [text: string, kind: string]>} */
export const SERIOUSNESS = {
  failure: ["To mend", "bad"],
  unseen: ["Not seen", "warn"],
  doubt: ["Doubtful", "warn"],
  note: ["To know", ""],
};
