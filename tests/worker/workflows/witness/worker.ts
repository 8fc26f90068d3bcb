/**
 * Forwards the calls of Workers to the service, and records them. Workers also record the attempts
 * at their steps here, independently of their reports. Both records survive a crash.
 *
 * POST /graphql is forwarded; POST /attempts/INSTANCE/STEP records an attempt.
 */

interface Env {
  FLOWFLARE: Fetcher;
  RECORD: D1Database;
}

const CALL = "INSERT INTO calls (instance_id, body) VALUES (?, ?)";
const ATTEMPT = `INSERT INTO attempts (instance_id, step, at)
  VALUES (?, ?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))`;

export default {
  async fetch(request, env): Promise<Response> {
    const { pathname } = new URL(request.url);
    const [, kind, instance = "", step = ""] = pathname.split("/").map(decodeURIComponent);
    if (kind === "attempts") {
      await env.RECORD.prepare(ATTEMPT).bind(instance, step).run();
      return new Response();
    }
    const body = await request.text();
    const caller = /"instanceId":\s*"([^"]+)"/.exec(body)?.[1] ?? "";
    await env.RECORD.prepare(CALL).bind(caller, body).run();
    return env.FLOWFLARE.fetch(request.url, {
      method: request.method,
      headers: request.headers,
      body,
    });
  },
} satisfies ExportedHandler<Env>;
