// Asks uBlock Origin's own engine, with the lists of its Debian package, what it does with requests.
// usage: engine.mjs PUBLIC_SUFFIX_LIST LISTS…; requests come on standard input, as JSON [[page, address, type], …];
// the rule that decides about each, or null, goes to standard output.
import { readFileSync } from "node:fs";
import { pslInit, StaticNetFilteringEngine } from "@gorhill/ubo-core";
import { utils } from "@gorhill/ubo-core/js/static-filtering-parser.js";

const FIREFOX = ["ublock", "firefox", "user_stylesheet", "html_filtering", "ipaddress"];
const [suffixes, ...files] = process.argv.slice(2);
const read = (file) => readFileSync(file, "utf8");

const engine = await StaticNetFilteringEngine.create({ noPSL: true });
// The list that comes with the engine is empty: every sub-domain would be a stranger.
pslInit(read(suffixes));
// The lists have passages for other browsers.
await engine.useLists(files.map((name) => ({ name, raw: utils.preparser.prune(read(name), FIREFOX) })));

const decide = ([originURL, url, type]) =>
  engine.matchRequest({ originURL, url, type }) ? engine.toLogData().raw : null;

// New lists do not reach the address asked about last: its parts are remembered.
decide(["https://first.example/", "https://first.example/", "image"]);
process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(decide)));
