/** Addresses within the dashboard, "#/page?parameters": each state has its own, and Back leads to the state before. */

/** @typedef {{ page: string, parameters: URLSearchParams }} Route */

/** What goes along from page to page. */
const KEPT = ["range", "from", "to", "view"];

/** @param {string} hash @returns {Route} */
export const routeOf = (hash) => {
  const address = hash.replace(/^#\/?/, "");
  const mark = address.indexOf("?");
  const page = mark < 0 ? address : address.slice(0, mark);
  return { page, parameters: new URLSearchParams(mark < 0 ? "" : address.slice(mark)) };
};

/** @returns {Route} */
export const current = () => routeOf(location.hash);

/** @param {string} page @param {URLSearchParams | Record<string, string>} [parameters] */
export const hashOf = (page, parameters = {}) => {
  const query = `${new URLSearchParams(parameters)}`;
  return `#/${page}${query ? `?${query}` : ""}`;
};

/** Return the address of a page with what goes along. @param {string} page @param {Record<string, string>} [parameters] */
export const linkTo = (page, parameters = {}) => {
  const { parameters: now } = current();
  const kept = KEPT.flatMap((name) => (now.has(name) ? [[name, `${now.get(name)}`]] : []));
  return hashOf(page, { ...Object.fromEntries(kept), ...parameters });
};

/** Return the address of this page with some parameters changed; empty ones go. @param {Record<string, string>} changes */
export const linkWith = (changes) => {
  const { page, parameters } = current();
  for (const [name, value] of Object.entries(changes)) value ? parameters.set(name, value) : parameters.delete(name);
  return hashOf(page, parameters);
};

/** Go to an address as by a link. @param {string} hash */
export const go = (hash) => {
  if (hash != location.hash) location.hash = hash;
};

/** Change the address without a step in the history, as for each letter that is typed. @param {string} hash */
export const replace = (hash) => {
  if (hash == location.hash) return;
  history.replaceState(null, "", hash);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
};
