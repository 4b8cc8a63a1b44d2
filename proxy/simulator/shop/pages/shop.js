// @ts-check
import { VERDICTS, find, make, newestFirst, readSettings, watch } from "./report.js";

/** @typedef {{ slug: string, name: string, cents: number }} Product */
/** @typedef {{ product: Product, quantity: number }} Line */

/** @type {{ pixelId: string, lateTag: string, simulatorUrl: string, askConsent: boolean, products: Product[] }} */
const settings = readSettings();
const CURRENCY = "USD";
const money = new Intl.NumberFormat("en-US", { style: "currency", currency: CURRENCY });

/** @param {...unknown} call */
function fbq(...call) {
  /** @type {any} */ (window).fbq(...call);
}

// ---- the cart, in this browser only

/** @returns {Record<string, number>} */
function readCart() {
  return JSON.parse(sessionStorage.getItem("cart") || "{}");
}

/** @param {Record<string, number>} cart */
function saveCart(cart) {
  sessionStorage.setItem("cart", JSON.stringify(cart));
  showCount();
}

/** @returns {Line[]} */
function lines() {
  const cart = readCart();
  return settings.products
    .filter(({ slug }) => cart[slug])
    .map((product) => ({ product, quantity: cart[product.slug] }));
}

/** @param {Line[]} chosen */
function cents(chosen) {
  return chosen.reduce((sum, { product, quantity }) => sum + product.cents * quantity, 0);
}

/** @param {Line[]} chosen */
function describe(chosen) {
  return {
    value: cents(chosen) / 100,
    currency: CURRENCY,
    content_type: "product",
    content_ids: chosen.map(({ product }) => product.slug),
    contents: chosen.map(({ product, quantity }) => ({
      id: product.slug,
      quantity,
      item_price: product.cents / 100,
    })),
    num_items: chosen.reduce((sum, { quantity }) => sum + quantity, 0),
  };
}

function showCount() {
  const count = lines().reduce((sum, { quantity }) => sum + quantity, 0);
  find("cart-count").textContent = String(count);
  find("cart-count").hidden = !count;
}

/** @param {boolean} editable */
function showLines(editable) {
  const chosen = lines();
  find("lines").replaceChildren(...chosen.map((line) => lineItem(line, editable)));
  find("total").textContent = money.format(cents(chosen) / 100);
  return chosen;
}

/** @param {Line} line @param {boolean} editable */
function lineItem({ product, quantity }, editable) {
  const about = make("div", "about", make("span", "name", product.name), make("small", "", `× ${quantity}`));
  if (editable) about.append(removeButton(product));
  const price = make("span", "price", money.format((product.cents * quantity) / 100));
  return make("li", "", picture(product.slug), about, price);
}

/** @param {Product} product */
function removeButton({ slug, name }) {
  const button = make("button", "remove", "Remove");
  button.setAttribute("type", "button");
  button.setAttribute("aria-label", `Remove ${name}`);
  button.addEventListener("click", () => {
    const { [slug]: _gone, ...rest } = readCart();
    saveCart(rest);
    showCart();
  });
  return button;
}

/** @param {string} slug */
function picture(slug) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `/assets/plants.svg#${slug}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

// ---- the pages

/** @param {string} slug */
function startProduct(slug) {
  const product = /** @type {Product} */ (settings.products.find((one) => one.slug === slug));
  find("add-to-cart").addEventListener("click", () => {
    const { contents, num_items: _count, ...data } = describe([{ product, quantity: 1 }]);
    fbq("track", "AddToCart", { ...data, content_name: product.name, contents });
    const cart = readCart();
    saveCart({ ...cart, [slug]: (cart[slug] || 0) + 1 });
    const link = make("a", "", "See the cart");
    link.setAttribute("href", "/cart");
    find("added").replaceChildren(`${product.name} is in your cart. `, link);
  });
}

function showCart() {
  const filled = showLines(true).length > 0;
  find("filled").hidden = !filled;
  find("empty").hidden = filled;
}

function startCart() {
  showCart();
  find("to-checkout").addEventListener("click", () => {
    fbq("track", "InitiateCheckout", describe(lines()));
    // The Pixel's image needs a moment: a browser may cancel it when the page is left.
    setTimeout(() => location.assign("/checkout"), 300);
  });
}

/** @param {HTMLFormElement} form */
function startCheckout(form) {
  showLines(false);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    rememberBuyer(Object.fromEntries(new FormData(form)));
    // The year brings a digit, by which the tag tells a number from a variable that nobody filled in.
    const order_id = `FH-${new Date().getFullYear()}-${Date.now().toString(36).toUpperCase()}`;
    sessionStorage.setItem("order", JSON.stringify({ ...describe(lines()), order_id }));
    sessionStorage.removeItem("cart");
    location.href = "/thank-you";
  });
}

/** @param {Record<string, unknown>} fields */
function rememberBuyer(fields) {
  const match = Object.fromEntries(Object.entries(fields).filter(([, value]) => value));
  // The Pixel takes matching data from a second init only if the first had none.
  if (!sessionStorage.getItem("match")) fbq("init", settings.pixelId, match);
  sessionStorage.setItem("match", JSON.stringify(match));
}

function startThanks() {
  const order = JSON.parse(sessionStorage.getItem("order") || "null");
  if (!order) {
    find("thanks-title").textContent = "No order yet";
    find("thanks-text").textContent = "Put a plant into your cart first.";
    return;
  }
  find("thanks-text").textContent = `Order ${order.order_id}, ${money.format(order.value)}, is being potted.`;
  if (sessionStorage.getItem("told") === order.order_id) return;
  sessionStorage.setItem("told", order.order_id);
  fbq("track", "Purchase", order);
}

// ---- consent, the late tag, the strip

function startConsent() {
  find("consent").hidden = !settings.askConsent;
  find("grant").addEventListener("click", () => {
    fbq("consent", "grant");
    choose("granted");
  });
  find("decline").addEventListener("click", () => choose("declined"));
}

/** @param {string} choice */
function choose(choice) {
  document.cookie = `demo_choice=${choice}; path=/; SameSite=Lax`;
  find("consent").hidden = true;
}

/**
 * Adds the tag once the Pixel has loaded and taken all it had to wait for, or after two seconds.
 * @param {string} address
 * @param {number} patience
 */
function addTagLate(address, patience) {
  const { callMethod, queue } = /** @type {any} */ (window).fbq;
  if ((!callMethod || queue.length) && patience) return void setTimeout(addTagLate, 20, address, patience - 1);
  const script = document.createElement("script");
  script.src = address;
  document.head.append(script);
}

/** @param {import("./report.js").Report} report */
function showStrip({ pairs }) {
  find("strip").replaceChildren(...newestFirst(pairs).slice(0, 4).map(stripItem));
}

/** @param {import("./report.js").Pair} pair */
function stripItem({ name, verdict }) {
  return make("li", verdict, make("b", "", name), ` ${VERDICTS[verdict].replace(/^browser copy.*— /, "")}`);
}

const product = /** @type {HTMLElement | null} */ (document.querySelector("[data-slug]"));
const form = /** @type {HTMLFormElement | null} */ (document.querySelector("form#checkout"));
showCount();
if (product) startProduct(product.dataset.slug || "");
if (document.getElementById("to-checkout")) startCart();
if (form) startCheckout(form);
if (document.getElementById("thanks-title")) startThanks();
startConsent();
if (settings.lateTag) addTagLate(settings.lateTag, 100);
if (settings.simulatorUrl) watch(`${settings.simulatorUrl}/sim/report`, showStrip);
