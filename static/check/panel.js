/**
 * The overlay of the install check, part 1 of 3: a panel over the page, in a closed shadow tree.
 *
 * The build (tools/build.mjs) joins the parts in their order into one function, which takes for how many milliseconds
 * it is shown, and the address that ends it. The proxy puts it before the tag for the owner's browser alone.
 *
 * The page cannot see into the panel, nothing of the page reaches it, and it moves nothing in the page: it is fixed,
 * of no size to its surroundings, and its style stands in a sheet that no Content Security Policy asks about.
 *
 * @typedef {{ row: HTMLLIElement, pixel: HTMLElement, proxy: HTMLElement, id: HTMLElement }} Row
 */

const STYLE = `
  :host { all: initial !important; position: fixed !important; inset: auto 12px 12px auto !important;
    z-index: 2147483647 !important; contain: layout style !important; display: block !important;
    color-scheme: light dark; }
  @media print { :host { display: none !important; } }
  section { font: 13px/1.4 system-ui, sans-serif; color: #1a1a1a; background: #fff; border: 1px solid #6b6b6b;
    border-radius: 8px; width: min(26rem, calc(100vw - 24px)); box-shadow: 0 4px 20px #0005; }
  header { display: flex; gap: 4px; align-items: center; padding: 6px 8px; cursor: move; touch-action: none;
    border-bottom: 1px solid #c9c9c9; }
  h2 { font: bold 13px/1.4 system-ui, sans-serif; margin: 0; flex: 1; }
  button { font: inherit; color: inherit; background: #f0f0f0; border: 1px solid #6b6b6b; border-radius: 5px;
    padding: 3px 8px; min-height: 24px; cursor: pointer; }
  button:focus-visible, ol:focus-visible { outline: 3px solid #0b57d0; outline-offset: 1px; }
  p { margin: 0; padding: 6px 8px; }
  ol { margin: 0; padding: 0; list-style: none; max-height: min(18rem, 50vh); overflow: auto; }
  li { padding: 5px 8px; border-top: 1px solid #dedede; overflow-wrap: anywhere; }
  b { font-weight: 600; }
  code { font: 12px/1.4 ui-monospace, monospace; color: #4a4a4a; }
  dl { margin: 2px 0 0; display: grid; grid-template-columns: 4rem 1fr; gap: 0 6px; }
  dt { color: #4a4a4a; }
  dd { margin: 0; }
  .good::before { content: "✓ "; color: #0a6b2d; }
  .bad { color: #a3120b; } .bad::before { content: "✗ "; }
  .open::before { content: "… "; }
  [hidden] { display: none; }
  @media (prefers-color-scheme: dark) {
    section { color: #ececec; background: #1e1f22; border-color: #8e8e8e; }
    button { background: #33353a; } header, li { border-color: #45474c; }
    code, dt { color: #bdbdbd; } .bad { color: #ff9c94; } .good::before { color: #7bd88f; }
    button:focus-visible, ol:focus-visible { outline-color: #8ab4ff; }
  }`;

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} name @param {Record<string, string>} [attributes] @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
const make = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  Object.entries(attributes).map(([key, value]) => element.setAttribute(key, value));
  element.append(...children);
  return element;
};

const list = make("ol", { tabindex: "0", "aria-label": "Calls of fbq, the latest first" });
const summary = make("p", { role: "status" }, "No call of fbq yet.");
const hint = make("p", {}, "Only this browser sees this. It ends by itself.");
const body = make("div", { id: "body" }, summary, list, hint);
const mover = make("button", { type: "button", "aria-label": "Move with the arrow keys" }, "✥");
const folder = make("button", { type: "button", "aria-expanded": "true", "aria-controls": "body" }, "Fold");
const ender = make("button", { type: "button" }, "End check");
const header = make("header", {}, make("h2", {}, "Install check"), mover, folder, ender);
const host = make("div");
const root = host.attachShadow({ mode: "closed" });
const sheet = new CSSStyleSheet();
sheet.replaceSync(STYLE);
root.adoptedStyleSheets = [sheet];
root.append(make("section", { "aria-label": "Install check of capi-proxy" }, header, body));

/** How far it was moved from its corner, in pixels. */
let [right, bottom] = [12, 12];

/** @param {number} x @param {number} y by how much, but never out of the window */
const move = (x, y) => {
  right = Math.max(0, Math.min(right - x, innerWidth - host.offsetWidth));
  bottom = Math.max(0, Math.min(bottom - y, innerHeight - host.offsetHeight));
  host.style.setProperty("inset", `auto ${right}px ${bottom}px auto`, "important");
  sheet.replaceSync(STYLE.replace("auto 12px 12px auto", `auto ${right}px ${bottom}px auto`));
};

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-20, 0], ArrowRight: [20, 0], ArrowUp: [0, -20], ArrowDown: [0, 20] };
mover.addEventListener("keydown", (event) => {
  if (!ARROWS[event.key]) return;
  event.preventDefault();
  move(...ARROWS[event.key]);
});
header.addEventListener("pointerdown", (event) => {
  if (event.target == folder || event.target == ender) return;
  header.setPointerCapture(event.pointerId);
});
header.addEventListener("pointermove", (event) => {
  if (header.hasPointerCapture(event.pointerId)) move(event.movementX, event.movementY);
});
folder.addEventListener("click", () => {
  body.hidden = !body.hidden;
  folder.setAttribute("aria-expanded", `${!body.hidden}`);
  folder.textContent = body.hidden ? "Unfold" : "Fold";
});
// What is done in the panel is none of the page's business.
["click", "dblclick", "keydown", "keyup", "keypress", "pointerdown", "pointerup", "mousedown", "mouseup", "wheel"].map(
  (name) => host.addEventListener(name, (event) => event.stopPropagation()),
);

const shut = () => host.remove();
ender.addEventListener("click", () => {
  shut();
  fetch(end, { method: "POST", mode: "no-cors", credentials: "include" }).catch(() => 0);
});
setTimeout(shut, shown);
document.documentElement.append(host);
