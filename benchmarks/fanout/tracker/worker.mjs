// Forwards requests to our Worker, except one that notifies the tracker as a finished write does.

/** The body of the request that notifies. */
const NOTIFY = '"notify"';
const SHARD = "shard-0";

export default {
  /**
   * @param {Request} request
   * @param {{ APP: any, TRACKER: any }} env
   */
  async fetch(request, env) {
    if (request.method !== "POST") return env.APP.fetch(request);
    const body = await request.text();
    if (body !== NOTIFY) return env.APP.fetch(new Request(request, { body }));
    await env.TRACKER.get(env.TRACKER.idFromName(SHARD)).notify();
    return new Response("published");
  },
};
