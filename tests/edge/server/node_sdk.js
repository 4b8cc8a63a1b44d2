// Meta's Node SDK, unmodified, as a program of its own: sends cases to a host, and prints how each was answered.
//
// Arguments: the host with its path, the access token, the pixel, a mark that all event ids begin with, the time in
// seconds, and what to send: "all", which also prints the setters that nobody called, or names of bad cases, each
// behind the way to send it, such as "inBatches:too old". NODE_PATH says where the SDK is.

"use strict";

const sdk = require("facebook-nodejs-business-sdk");
const { fields, set, unsent } = require("./node_sdk_fields");

const [base, token, pixel, mark, at, ...wanted] = process.argv.slice(2);
const events = require("./node_sdk_events")(mark, Number(at));

const told = (answer) => ({ received: answer.events_received, messages: answer.messages, trace: answer.fbtrace_id });
const request = (sent, values = {}) => set(new sdk.EventRequest(token, pixel, sent), values);

// As a program might that brings its own client.
const client = {
  executeRequest: async (url, method, headers, params) => {
    const answer = await fetch(url, { method, headers, body: JSON.stringify(params) });
    return answer.json();
  },
};
const collected = async (generator) => {
  const answers = [];
  for (const batch of generator) answers.push(...(await Promise.all(batch)));
  return answers.map(told);
};

const ways = {
  synchronous: async (sent, values) => [told(await request(sent, values).execute())],
  byService: async (sent, values) => {
    const own = request(sent, values).setHttpService(client).setAppSecret("an app's secret").setDebugMode(true);
    return [told(await own.execute())];
  },
  byClient: async (sent, values) => {
    sdk.HttpServiceClientConfig.setClient(client);
    try {
      return [told(await request(sent, values).execute())];
    } finally {
      sdk.HttpServiceClientConfig.setClient(null);
    }
  },
  inBatches: (sent, values) =>
    collected(new sdk.BatchProcessor(2, 2).processEventsGenerator(request([], values), sent)),
  inRequests: (sent, values) => {
    const each = sent.map((event) =>
      request([], values).setEvents([event]).setPixelId(pixel).setAccessToken(token).setAppSecret("an app's secret")
    );
    return collected(new sdk.BatchProcessor(2, 2).processEventRequestsGenerator(each));
  },
  byPixel: async (sent) => {
    const data = sent.map((event) => event.normalize());
    return [told((await new sdk.AdsPixel(pixel).createEvent([], { data }))._data)];
  },
};

// By Graph's own batch endpoint, which Graph's edge for events does not need.
const inGraphBatch = (sent) => {
  const batch = new sdk.FacebookAdsApiBatch(sdk.FacebookAdsApi.init(token));
  batch.add("POST", [pixel, "events"], { data: sent.map((event) => event.normalize()) });
  return batch.execute();
};

const allSent = async () => {
  const answers = {
    whole: await ways.synchronous(events.SOURCES.map((source) => events.whole(source)), fields),
    "one person": await ways.synchronous([events.onePerson()]),
    sources: await ways.synchronous(events.sources()),
    alone: await ways.synchronous(events.alone()),
    words: await ways.synchronous(events.words()),
    edges: await ways.synchronous(events.edges()),
  };
  for (const [name, value] of Object.entries(fields))
    answers[`field ${name}`] = await ways.synchronous([events.plain()], { [name]: value });
  for (const [name, way] of Object.entries(ways))
    answers[name] = await way([events.whole(), events.plain(), events.plain(), events.plain(), events.plain()], fields);
  return answers;
};

// Send a case, and return what its caller sees.
const refused = async (name) => {
  const [way, what] = name.split(":");
  try {
    await { ...ways, inGraphBatch }[way](events.cases[what]());
  } catch (error) {
    const { code, error_subcode: subcode = null, type, is_transient, error_data } = error.response || {};
    const blame = (error_data && error_data.blame_field_specs) || null;
    return {
      ...{ class: error.name, status: error.status, code, subcode, type, message: error.message, blame },
      ...{ is_transient, error: error.response },
      shows_token: Boolean(token.trim()) && `${error} ${error.stack}`.includes(token),
    };
  }
  return { class: "" };
};

const main = async () => {
  Object.defineProperty(sdk.FacebookAdsApi, "GRAPH", { get: () => base });
  let answers = {};
  if (wanted[0] === "all") answers = { answers: await allSent(), unsent: unsent() };
  else for (const name of wanted) answers[name] = await refused(name);
  // With its debug mode the SDK writes to the same output.
  process.stdout.write(`\n${JSON.stringify(answers)}`);
};

main();
