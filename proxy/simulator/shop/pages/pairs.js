// @ts-check
import { VERDICTS, find, make, newestFirst, readSettings, watch } from "./report.js";

/** @typedef {import("./report.js").Pair} Pair */
/** @typedef {import("./report.js").Report} Report */

const MOST_ROWS = 200;

/** @param {Report} report */
function show(report) {
  for (const total of /** @type {const} */ (["counted_once", "recovered", "browser_only", "counted_twice"]))
    find(total).textContent = find(total).dataset.count = String(report[total]);
  find("rows").replaceChildren(...newestFirst(report.pairs).slice(0, MOST_ROWS).map(row));
  showKeys(report.match_keys);
  showLint(report.lint);
}

/** @param {Pair} pair */
function row(pair) {
  return make(
    "tr",
    pair.verdict,
    name(pair),
    cell("Id", shortId(pair.id)),
    copies("Browser copy", pair.browser, pair.verdict === "recovered" ? "blocked" : "none"),
    copies("Server copy", pair.server, "none"),
    cell("Verdict", make("span", "verdict", VERDICTS[pair.verdict])),
    cell("First seen", new Date(pair.first_at).toLocaleTimeString("en-GB")),
  );
}

/** @param {Pair} pair */
function name(pair) {
  const head = make("th", "", pair.name);
  head.setAttribute("scope", "row");
  return head;
}

/** @param {string} label @param {Node | string} content */
function cell(label, content) {
  const element = make("td", "", content);
  element.dataset.label = label;
  return element;
}

/** @param {string | null} id */
function shortId(id) {
  if (!id) return make("span", "none", "none");
  const code = make("code", "", id.length > 14 ? `${id.slice(0, 6)}…${id.slice(-6)}` : id);
  code.title = id;
  return code;
}

/** @param {string} label @param {number} count @param {string} otherwise */
function copies(label, count, otherwise) {
  if (!count) return cell(label, make("span", otherwise, otherwise));
  const tick = make("span", "tick", count > 1 ? `✓ ×${count}` : "✓");
  tick.setAttribute("role", "img");
  tick.setAttribute("aria-label", count > 1 ? `received ${count} times` : "received");
  return cell(label, tick);
}

/** @param {Record<string, number>} keys */
function showKeys(keys) {
  const chips = Object.entries(keys).map(([key, count]) => make("span", "chip", `${key} ${count}`));
  find("match-keys").replaceChildren(...(chips.length ? chips : ["none yet"]));
}

/**
 * The same remark on many events is one line.
 * @param {Report["lint"]} lint
 */
function showLint(lint) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { problem, field } of lint) {
    const remark = `${problem.replaceAll("_", " ")}: ${field}`;
    counts.set(remark, (counts.get(remark) || 0) + 1);
  }
  find("lint").replaceChildren(...Array.from(counts, ([remark, count]) => make("li", "", `${remark} (${count})`)));
  find("lint").hidden = !counts.size;
}

/** @param {boolean} answered */
function tell(answered) {
  const empty = !find("rows").children.length;
  const text = !answered ? "The simulator does not answer." : empty ? "No events yet. Visit the shop." : "";
  if (find("state").textContent !== text) find("state").textContent = text;
}

watch(`${readSettings().simulatorUrl}/sim/report`, show, tell);
