// Builds static/**/*.min.js from their sources; with --check, only tells whether the committed files are fresh.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { minify } from "terser";

const STATIC = new URL("../static/", import.meta.url);
const COMPRESS = { passes: 4, unsafe_arrows: true, pure_getters: true, keep_fargs: false };
const COMMON = { ecma: 2021, format: { ascii_only: true } };
const PROGRAM = {
  ...COMMON,
  compress: { ...COMPRESS, booleans_as_integers: true },
  mangle: { properties: { regex: /^_[a-z]+$/ } },
};
// The parts of the tag that ask for consent: each one expression, which the proxy puts where it is needed. The same
// names in all of them compress best together.
const EXPRESSION = {
  ...COMMON,
  compress: { ...COMPRESS, expression: true },
  mangle: { nth_identifier: { get: (n) => String.fromCharCode(97 + (n % 26)) + "_".repeat(n / 26) } },
};

const parts = (await readdir(new URL("consent/", STATIC))).filter((name) => /^\w+\.js$/.test(name));

for (const [name, options] of [["tag.js", PROGRAM], ...parts.map((name) => [`consent/${name}`, EXPRESSION])]) {
  const target = new URL(name.replace(".js", ".min.js"), STATIC);
  const { code } = await minify(await readFile(new URL(name, STATIC), "utf8"), options);
  const built = options == EXPRESSION ? `${code.replace(/;$/, "")}\n` : `${code}\n`;
  if (!process.argv.includes("--check")) await writeFile(target, built);
  else if ((await readFile(target, "utf8").catch(() => "")) !== built) {
    console.error(`static/${name} was not built since it changed: run \`make tag\``);
    process.exitCode = 1;
  }
}
