/** A link that shows one browser what the tag does on a page. */

import { Refusal, ask } from "./operator-ask.js";
import { link, make, momentLine, say, section } from "./operator-elements.js";
import { siteNames } from "./operator-health.js";

/** @typedef {{ link: string, site: string, page: string, open_until: number, minutes: number }} InstallCheck */

/** Return the section that makes such links. */
export const installPart = () => {
  const note = make("p", { id: "install-note", class: "note", role: "status" });
  const made = make("p", { id: "install-link" });
  const form = /** @type {HTMLFormElement} */ (
    make(
      "form",
      { class: "filters", "aria-label": "Check a page", autocomplete: "off" },
      make("label", { class: "long" }, "Page to look at", make("input", { name: "page", type: "url", maxlength: "2000", placeholder: "https://shop.example/checkout" })),
      make("button", {}, "Make a link"),
    )
  );
  const words = "An overlay on a page of yours shows each fbq call, its id, what the Pixel did and what was mirrored. Only a browser that opened the link sees it. Without an address it is the first page of the first site.";
  const element = section("install", "Check a page", make("p", { class: "hint" }, words), form, note, made);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const page = form.page.value.trim();
    try {
      const answer = await ask("api/install-check", page ? { page } : { site: siteNames()[0] || "" });
      say(note, "");
      made.replaceChildren(...linkParts(answer));
      /** @type {HTMLElement} */ (made.firstElementChild).focus();
    } catch (error) {
      made.replaceChildren();
      say(note, error instanceof Refusal ? `The proxy refuses: ${error.message}` : "The proxy does not answer.");
    }
  });
  return element;
};

/** @param {InstallCheck} check */
const linkParts = ({ link: href, page, open_until: until, minutes }) => [
  link(`Open ${page} with the overlay`, /^https?:/.test(href) ? href : "", { target: "_blank", rel: "noopener noreferrer" }),
  make("span", { class: "soft" }, " · the link is over ", momentLine(until), `; the overlay stays ${minutes} minutes. Hold it like a password until then.`),
];
