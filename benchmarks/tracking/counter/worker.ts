/** Hands calls on to the service and counts them; GET answers how many there were, and forgets. */

interface Env {
  FLOWFLARE: Fetcher;
}

let calls = 0;

export default {
  async fetch(request, env): Promise<Response> {
    if (request.method === "GET") {
      const counted = calls;
      calls = 0;
      return Response.json(counted);
    }
    calls += 1;
    return env.FLOWFLARE.fetch(request);
  },
} satisfies ExportedHandler<Env>;
