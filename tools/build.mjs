// Builds static/tag.min.js from static/tag.js; with --check, only tells whether the committed file is fresh.
import { readFile, writeFile } from "node:fs/promises";
import { minify } from "terser";

const SOURCE = new URL("../static/tag.js", import.meta.url);
const BUILT = new URL("../static/tag.min.js", import.meta.url);
const OPTIONS = {
  ecma: 2021,
  compress: { passes: 4, unsafe_arrows: true, pure_getters: true, keep_fargs: false, booleans_as_integers: true },
  mangle: { properties: { regex: /^_[a-z]+$/ } },
  format: { ascii_only: true },
};

const { code } = await minify(await readFile(SOURCE, "utf8"), OPTIONS);
const built = `${code}\n`;

if (process.argv.includes("--check")) {
  if ((await readFile(BUILT, "utf8").catch(() => "")) !== built) {
    console.error("static/tag.min.js is stale: run `make tag`");
    process.exitCode = 1;
  }
} else {
  await writeFile(BUILT, built);
}
