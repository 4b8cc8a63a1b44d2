/** What the operator's page calls things: statuses, reasons, findings and conditions in words for the owner. */

import { age } from "./operator-format.js";

/**
 * @typedef {{ code: number | null, subcode: number | null, message: string, fbtrace_id: string }} GraphError
 * @typedef {{ pixel: string, replica: string, waiting: number, held: number, suspects: number, oldest: number, oldest_suspect: number,
 *   paused: string, failures: number, last_error: string, graph_error: GraphError }} Lane Ages in ms.
 * @typedef {{ code: string, subject: string, detail: string, since: number, failing: boolean }} Condition
 * @typedef {{ name: string, version: string, started: number, seen: number, silent: number, answers: boolean }} Replica Of
 *   the proxies that share one queue; times by the database's clock.
 * @typedef {{ status: string, conditions: Condition[], lanes: Lane[], dead: number, replicas: Replica[],
 *   sites: string[] }} State
 * @typedef {{ at: number, arrived: number, pixel: string, site: string, name: string, id: string, time_s: number,
 *   status: string, reason: string, browser_copy: string, action_source: string, fbtrace_id: string, attempts: number,
 *   code: number | null, subcode: number | null, message: string, findings: string[], match_keys: string[], consent: string,
 *   consent_source: string, redactions: string[], value: number | null, currency: string, number: number,
 *   held_until?: number | null, suspect?: boolean }} Row An event that waits or ended. Of a server’s event the browser copy
 *   is empty.
 * @typedef {{ id: number, at: number, pixel: string, name: string, event_id: string, time_s: number, reason: string,
 *   code: number | null, subcode: number | null, message: string, fbtrace_id: string, attempts: number,
 *   event: Record<string, unknown> }} DeadLetter
 */

/** @type {Record<string, string>} Why an event did not leave. */
const DROPPED = {
  too_old: "it happened more than 7 days ago, which Meta refuses",
  contact_data: "its name or id is somebody’s contact data",
  missing_value: "a Purchase without a value that can be read, which Meta refuses",
  missing_currency: "a Purchase without a currency that can be read, which Meta refuses",
  little_identity: "too little to match a person by, which Meta refuses",
  no_consent: "the visitor has not consented",
  gpc: "the browser sends Global Privacy Control",
  bot: "the visitor is a machine",
  unknown_pixel: "this pixel is not in the configuration",
  excluded: "the pixel’s list of events leaves this name out",
  restricted: "the site sends standard events only",
  opted_out: "the visitor has opted out",
  erased: "it happened before its person was erased",
  unusable: "a webhook's event that Meta would refuse",
  unpaid: "no server said in time that the order was paid",
  dnt: "the browser asks not to be tracked",
};

/** @type {Record<string, string>} Why an event was given up. */
export const DEAD = {
  rejected: "Meta refuses this event",
  too_old: "it grew older than 7 days while it waited",
  not_received: "Meta answered three times that it counted nothing",
};

/** @type {Record<string, string>} What gives a machine away. */
const MACHINES = {
  "bot:crawler": "the user agent is a crawler’s",
  "bot:webdriver": "the browser is under automation",
  "bot:headless": "the browser has no window",
  "bot:contradiction": "its user agent and its client hints contradict each other",
};

/** @type {Record<string, string>} What was done with a part of an event that was not as Meta documents it. */
const FINDINGS = {
  repaired: "put right",
  unusable: "of no use, left out",
  doubtful: "doubtful, sent as it is",
  missing: "missing",
  misplaced: "in the wrong place",
  conflict: "another visitor brought it with another value",
  cut: "longer, or more values, than is read; the rest left out",
};

/** @type {Record<string, string>} Why a pixel is paused, or is tried again later. */
const CAUSES = {
  token: "Meta refuses the access token",
  permission: "the token may not write to this pixel",
  systemic: "Meta refuses every event alike",
  down: "Meta’s API is down",
  throttled: "Meta asks to send more slowly",
  blocked: "Meta blocks the account for now",
  transient: "a passing fault at Meta",
  not_received: "Meta’s answer counts no events",
  timeout: "Meta did not answer in time",
  network: "Meta cannot be reached",
};

/** @type {Record<string, string>} Why an event was not sent, or was given up. */
export const REASONS = { ...DROPPED, ...DEAD };

/** @type {Record<string, [text: string, kind: string]>} */
export const STATUSES = {
  waiting: ["Waiting", "warn"],
  delivered: ["Delivered", "good"],
  dropped: ["Dropped", ""],
  duplicate: ["Duplicate", ""],
  dead: ["Dead", "bad"],
  replayed: ["Replayed", ""],
};

/** @type {Record<string, [text: string, kind: string]>} */
export const COPIES = {
  fired: ["Fired", "good"],
  blocked: ["Blocked", "warn"],
  pending: ["Not known", ""],
};

/** @type {Record<string, string>} */
export const TITLES = {
  ready: "Ready: events are taken and delivered.",
  degraded: "Working, but something needs a look.",
  failing: "Something needs you.",
};

/** @param {string} reason */
export const causeText = (reason) =>
  CAUSES[reason] || (/^http_\d+$/.test(reason) ? `Meta answered with HTTP ${reason.slice(5)}` : reason);

/** @param {string} detail A reason, and the Graph error if there was one. */
const detailText = (detail) => {
  const [reason, graphError] = detail.split("; Meta says: ");
  return causeText(reason) + (graphError ? ` (${graphError})` : "");
};

// A proxy says that it lives every few seconds.
const SILENT_MS = 30_000;

/** @param {Replica[]} replicas Which proxies share the queue; none where it is this one's own. */
export const replicasText = (replicas) => {
  if (!replicas.length) return "";
  const names = replicas.map(({ name, version, silent, answers }) => {
    const about = answers ? "answers here" : silent > SILENT_MS ? `not heard of for ${age(silent)}` : "";
    return `${name} (${[version, about].filter(Boolean).join(", ")})`;
  });
  return `Proxies of this queue: ${names.join(" · ")}. Conditions above are of the one that answers; all else is of all.`;
};

/** @param {Row} row */
export const reasonText = ({ status, reason, browser_copy, held_until: until, suspect }) => {
  if (status == "waiting") return suspect ? "Meta refused it together with others; the bad ones are looked for" : until ? "held until due" : "stored; on its way to Meta";
  if (status == "dropped") return DROPPED[reason] || reason;
  if (status == "dead") return DEAD[reason] || reason;
  if (status == "replayed") return "it was dead and was put back; what became of it then stands by itself";
  if (status == "duplicate") return reason == "server_copy" ? "the event of the shop’s server is sent in its place" : "the same visitor sent this name and id before";
  if (MACHINES[reason]) return `sent, but ${MACHINES[reason]}`;
  return reason || (browser_copy == "blocked" ? "recovered: the browser’s own copy was blocked" : "");
};

/** @param {{ reason?: string, findings?: string[] }} row */
export const findingTexts = ({ reason, findings = [] }) =>
  findings
    .filter((finding) => finding != reason)
    .map((finding) => {
      const [field, kind] = finding.split(":");
      if (field == "joined") return kind == "several" ? "several visitors: nothing attached" : `visitor found by ${kind}`;
      if (field == "events") return `the first of ${kind} for such pixels in one request`;
      return MACHINES[finding] || `${field}: ${FINDINGS[kind] || kind}`;
    });

/** @param {Condition} condition */
export const advice = ({ code, subject, detail }) => {
  switch (code) {
    case "pixel_paused":
      return (
        `Pixel ${subject} is paused: ${detailText(detail)}. Its events wait and none is lost. ` +
        "Mend it in Events Manager or in the configuration (then restart); the proxy also tries again by itself."
      );
    case "pixel_stopped":
      return (
        `Nothing is sent for pixel ${subject}: ${detail}. Its events wait until you resume it; ` +
        "what grows older than 7 days becomes a dead letter."
      );
    case "graph_errors":
      return `Events of pixel ${subject} wait: ${detailText(detail)}. The proxy tries again by itself, and none is lost.`;
    case "pixel_not_configured":
      return (
        `Pixel ${subject} is not in the configuration: ${detail}. Add it again and restart to deliver them; ` +
        "what grows older than 7 days becomes a dead letter."
      );
    case "delivery_late":
      return `Events of pixel ${subject} wait too long for Meta: ${detail}.`;
    case "suspects_late":
      return (
        `Events of pixel ${subject} that Meta refused together wait for the search for the bad ones: ${detail}. ` +
        "Somebody sends many bad events; the dead letters show which."
      );
    case "queue":
      return `Events cannot be stored (${detail}), so pages are asked to try again later. See to the disk of data_dir.`;
    case "database":
      return `Events wait on this machine until the shared database has them: ${detail}.`;
    case "housekeeping":
      return `${detail}. Nothing is lost, and it is tried again; see to data_dir, or to the limit on open files.`;
    case "ledger_incomplete":
      return `Some finished events are missing from this list: ${detail}. Delivery is not touched by it.`;
    case "untrusted_forwarding":
      return (
        "Requests come through a proxy that server.trusted_proxies does not list, so visitors’ addresses are not known. " +
        "Add the network of that proxy."
      );
    case "clock":
      return `Set the clock: ${detail}, which refuses events from the future.`;
    case "connections_full":
      return `All places of the ${subject} listener are taken: ${detail}. The longest silent ones make room.`;
    case "address_full":
      return `${detail}, on the ${subject} listener. If it is a proxy of yours, list it in server.trusted_proxies.`;
    case "descriptors":
      return `File descriptors are scarce: ${detail}. Raise the limit of the service (LimitNOFILE).`;
    case "workers":
      return `${detail}. One that ended is started again by itself; the log says why it ended.`;
    case "limited":
      return `Requests are refused: ${detail}. Pages try again by themselves.`;
    case "foreign_origin":
      return `Pages on ${subject} may not send events: ${detail}. Is it a host of yours?`;
    case "insecure_origin":
      return `Pages of ${subject} that came by plain http may not send to an https address: ${detail}. Redirect them.`;
    case "unknown_host":
      return `Requests for ${subject} belong to no site: ${detail}.`;
    case "operator_password":
      return `Somebody may be guessing the password of this listener: ${detail}. Each is answered late.`;
    case "proxy_protocol":
      return `Connections were closed: ${detail}. Is the setting right?`;
    case "queue_filling":
      return `Events come faster than they are delivered: ${detail}. Mend what delivery waits for.`;
    case "disk_short":
      return `The disk of data_dir is filling: ${detail}. Below queue.min_free_bytes pages are asked to try again later.`;
    case "dead_letters":
      return `Meta refuses events of pixel ${subject} for good: ${detail}. The dead letters show Meta’s words.`;
    case "token_expiring":
      return `The access token of pixel ${subject} ends: ${detail}. Put a new one into the configuration and restart.`;
    case "graph_version":
      return `graph.version ${subject}: ${detail}. Set a newer one.`;
    case "silence":
      return `Nothing comes from ${subject} any more: ${detail}. Is the tag still in the pages, and does its address answer?`;
    case "tag_not_seen":
      return `No page of ${subject} has sent an event: ${detail}. capi-proxy snippet prints what belongs into the pages.`;
    case "pair_rate_fell":
      return `Far more browser copies of ${subject} are blocked than usual: ${detail}. Is the Pixel still in the pages?`;
    case "id_reused":
      return `Visitors of ${subject} share event ids: ${detail}. A page is cached with its ids.`;
    case "alert_not_sent":
      return `${subject} takes no alerts: ${detail}. See [alerts] in the configuration.`;
    case "fault":
      return `A fault of the proxy itself: ${detail} (${subject}). Please report it.`;
    case "order_id_conflict":
      return (
        `Two visitors brought a Purchase of pixel ${subject} under one id with different values. Both were sent, and ` +
        "Meta keeps the first. Either the shop gives a number twice, or somebody forges orders: let the shop’s server " +
        "make the eventID of each Purchase."
      );
    default:
      return [code, subject, detail].filter(Boolean).join(" · ");
  }
};
