// In front of our Worker: a way to poke the tracker by itself, as a write does when it is done.

/** What is posted to poke. */
const POKE = '"poke"';
const SHARD = "shard-0";

export default {
  /**
   * @param {Request} request
   * @param {{ APP: any, TRACKER: any }} env
   */
  async fetch(request, env) {
    if (request.method !== "POST") return env.APP.fetch(request);
    const body = await request.text();
    if (body !== POKE) return env.APP.fetch(new Request(request, { body }));
    await env.TRACKER.get(env.TRACKER.idFromName(SHARD)).notify();
    return new Response("published");
  },
};
