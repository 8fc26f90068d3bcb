// Follows the log for a test: prints a line for each event, and one for how it ended.
//
//   node follow.mjs WORKFLOW [AFTER]
//
// A line on standard input aborts the subscription.

import { WatchEventsDocument } from "../../../../clients/typescript/src/documents.ts";
import { WorkflowClient } from "../../../../clients/typescript/src/index.ts";

const { FLOWFLARE_URL = "", FLOWFLARE_API_KEY = "" } = process.env;
const [, , workflow = "", after] = process.argv;
const client = new WorkflowClient({ serviceUrl: FLOWFLARE_URL, apiKey: FLOWFLARE_API_KEY });
const stop = new AbortController();
process.stdin.once("data", () => stop.abort());

/** @param {object} what */
const tell = (what) => console.log(JSON.stringify(what));

try {
  const variables = { filter: { workflow: [workflow] } };
  const options = {
    after,
    signal: stop.signal,
    onCursor: (/** @type {string} */ cursor) => tell({ cursor }),
  };
  for await (const { workflowEvents } of client.subscribe(
    WatchEventsDocument,
    variables,
    options,
  )) {
    for (const { type, instance } of workflowEvents.events) tell({ type, id: instance.instanceId });
  }
  tell({ ended: "done" });
} catch (error) {
  const { name, code } = /** @type {{ name: string, code?: string }} */ (error);
  tell({ ended: name, code });
}
process.stdin.destroy();
