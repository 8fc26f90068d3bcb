/** Forwards calls to the service and counts them. GET returns the count and resets it. */

interface Env {
  FLOWFLARE: Fetcher;
}

let calls = 0;

export default {
  async fetch(request, env): Promise<Response> {
    if (request.method === "GET") {
      const count = calls;
      calls = 0;
      return Response.json(count);
    }
    calls += 1;
    return env.FLOWFLARE.fetch(request);
  },
} satisfies ExportedHandler<Env>;
