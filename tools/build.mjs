// Builds what browsers get from static/**/*.js; with --check, only tells whether the committed files are fresh.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { minify } from "terser";

const STATIC = new URL("../static/", import.meta.url);
const COMPRESS = { passes: 4, unsafe_arrows: true, pure_getters: true, keep_fargs: false };
const FORMAT = { ascii_only: true };
// Nothing of the tag that a page or the Pixel can see is a boolean made here; the accessors of the tag compare.
const SHORT = { booleans_as_integers: true };

/** @param {boolean} EXTRAS @param {boolean} CHECK */
const program = (EXTRAS, more = {}, CHECK = false) => ({
  ecma: 2021,
  toplevel: true,
  compress: { ...COMPRESS, global_defs: { EXTRAS, CHECK }, unsafe: true, ...more },
  mangle: { properties: { regex: /^_[a-z]+$/, reserved: ["_fbq"] } },
  format: FORMAT,
});

// The scripts that ask for consent are one expression each, which the proxy puts where it is needed. The same names in
// all of them compress best together.
const expression = {
  ecma: 2021,
  compress: { ...COMPRESS, expression: true },
  mangle: { nth_identifier: { get: (n) => String.fromCharCode(97 + (n % 26)) + "_".repeat(n / 26) } },
  format: FORMAT,
};

// The parts of the tag share the scope of one function.
const TAG = ["settings", "state", "delivery", "commands", "events", "stubs", "start"].map((part) => `tag/${part}.js`);
// What the owner sees of the tag in a page of theirs; no visitor is sent any of it.
const OVERLAY = ["panel", "rows", "watch"].map((part) => `check/${part}.js`);
const adapters = (await readdir(new URL("consent/", STATIC))).filter((name) => /^\w+\.js$/.test(name));
const builds = [
  { file: "tag.min.js", sources: TAG, options: program(false, SHORT) },
  { file: "tag.extras.min.js", sources: TAG, options: program(true, SHORT) },
  { file: "tag.check.min.js", sources: TAG, options: program(false, SHORT, true) },
  { file: "tag.extras.check.min.js", sources: TAG, options: program(true, SHORT, true) },
  { file: "overlay.min.js", sources: OVERLAY, options: expression },
  { file: "trap.min.js", sources: ["trap.js"], options: program(false) },
  { file: "load.min.js", sources: ["load.js"], options: program(false) },
  ...adapters.map((name) => ({
    file: `consent/${name.replace(".js", ".min.js")}`,
    sources: [`consent/${name}`],
    options: expression,
  })),
];

let stale = 0;
for (const { file, sources, options } of builds) {
  const texts = await Promise.all(sources.map((source) => readFile(new URL(source, STATIC), "utf8")));
  const joined = texts.join("");
  const text =
    sources == TAG ? `(() => {${joined}})();` : sources == OVERLAY ? `(shown, end) => {${joined} return [observer, observed];}` : joined;
  // One kind of declaration joins into one statement, which is smaller.
  const { code } = await minify(options == expression ? text : text.replace(/\bconst\b/g, "let"), options);
  const built = `${options == expression ? code.replace(/;$/, "") : code}\n`;
  const target = new URL(file, STATIC);
  if (!process.argv.includes("--check")) {
    await writeFile(target, built);
  } else if ((await readFile(target, "utf8").catch(() => "")) !== built) {
    console.error(`static/${file} is stale: run \`make tag\``);
    stale = 1;
  }
}
process.exitCode = stale;
