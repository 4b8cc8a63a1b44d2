/** Logging in: the password goes to the proxy, which answers with a cookie that no script can read. */

const PATIENCE_MS = 30_000;

/** @template {HTMLElement} Wanted @param {string} id @param {new () => Wanted} kind @returns {Wanted} */
const element = (id, kind) => {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`no ${id}`);
  return found;
};

const form = element("login", HTMLFormElement);
const field = element("password", HTMLInputElement);
const note = element("note", HTMLElement);
const button = form.querySelector("button");

/** Where the dashboard is: a server in front may have it below a path of its own. */
const home = new URL(".", location.href);

/** Where to go on: the page that was wanted, of this proxy alone. */
const wanted = () => {
  try {
    // Beside this page, whatever the path begins with: two slashes, or a scheme, would lead to another host.
    const path = (new URLSearchParams(location.search).get("next") ?? "").replace(/^[\\/]+/, "");
    const next = new URL(`./${path}`, home);
    next.hash ||= location.hash;
    return next.href.startsWith(home.href) ? next.href : home.href;
  } catch {
    return home.href;
  }
};

/** Return what the proxy says to a password; empty when it lets in. @param {string} password */
const refusalOf = async (password) => {
  const answer = await fetch("api/session", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify({ password }),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (answer.ok) return "";
  if (answer.status == 401) return "That is not the password.";
  if (answer.status == 429) return "Too many wrong passwords; try again in a few seconds.";
  const told = await answer.json().catch(() => ({}));
  return told.error ?? `The proxy answers with status ${answer.status}.`;
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (button) button.disabled = true;
  note.textContent = "";
  try {
    const refusal = await refusalOf(field.value);
    if (!refusal) {
      location.replace(wanted());
      return;
    }
    note.textContent = refusal;
  } catch {
    note.textContent = "The proxy does not answer.";
  }
  if (button) button.disabled = false;
  field.select();
});
