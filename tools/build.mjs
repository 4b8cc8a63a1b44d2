// Builds what browsers get from static/*.js; with --check, only tells whether the committed files are fresh.
import { readFile, writeFile } from "node:fs/promises";
import { minify } from "terser";

const STATIC = new URL("../static/", import.meta.url);
const BUILT = [
  { file: "tag.min.js", source: "tag.js", EXTRAS: false },
  { file: "tag.extras.min.js", source: "tag.js", EXTRAS: true },
  { file: "trap.min.js", source: "trap.js", EXTRAS: false },
  { file: "load.min.js", source: "load.js", EXTRAS: false },
];

/** @param {boolean} EXTRAS */
const options = (EXTRAS) => ({
  ecma: 2021,
  toplevel: true,
  compress: {
    global_defs: { EXTRAS },
    passes: 4,
    unsafe: true,
    unsafe_arrows: true,
    pure_getters: true,
    keep_fargs: false,
  },
  mangle: { properties: { regex: /^_[a-z]+$/, reserved: ["_fbq"] } },
  format: { ascii_only: true },
});

let stale = 0;
for (const { file, source, EXTRAS } of BUILT) {
  // One kind of declaration joins into one statement, which is smaller.
  const text = (await readFile(new URL(source, STATIC), "utf8")).replace(/\bconst\b/g, "let");
  const { code } = await minify(text, options(EXTRAS));
  const target = new URL(file, STATIC);
  if (!process.argv.includes("--check")) {
    await writeFile(target, `${code}\n`);
  } else if ((await readFile(target, "utf8").catch(() => "")) !== `${code}\n`) {
    console.error(`static/${file} is stale: run \`make tag\``);
    stale = 1;
  }
}
process.exitCode = stale;
