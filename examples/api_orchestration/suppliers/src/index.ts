/**
 * A booking API as suppliers have them: often busy, sometimes sold out, idempotent by key.
 *
 * PUT /KEY books, DELETE /KEY cancels, GET /KEY shows how a booking stands.
 */

interface Env {
  BOOKINGS: D1Database;
}

/** What is asked for. `busyFor` requests are refused first, as a busy supplier would. */
interface Wish {
  kind: string;
  busyFor?: number;
  soldOut?: boolean;
}

const ASK = `INSERT INTO bookings (booking_key, kind, state) VALUES (?, ?, 'asked')
  ON CONFLICT (booking_key) DO UPDATE SET requests = requests + 1 RETURNING requests`;
const SET = "UPDATE bookings SET state = ? WHERE booking_key = ?";
const SHOW = "SELECT kind, requests, state FROM bookings WHERE booking_key = ?";

async function book(env: Env, key: string, wish: Wish): Promise<Response> {
  const asked = await env.BOOKINGS.prepare(ASK).bind(key, wish.kind).first<{ requests: number }>();
  if ((asked?.requests ?? 0) <= (wish.busyFor ?? 0)) {
    return Response.json({ error: `${wish.kind}: too many requests` }, { status: 503 });
  }
  if (wish.soldOut) return Response.json({ error: `${wish.kind}: sold out` }, { status: 409 });
  await env.BOOKINGS.prepare(SET).bind("booked", key).run();
  return Response.json({ key });
}

export default {
  async fetch(request, env): Promise<Response> {
    const key = decodeURIComponent(new URL(request.url).pathname.slice(1));
    if (request.method === "PUT") return book(env, key, await request.json<Wish>());
    if (request.method === "DELETE") {
      await env.BOOKINGS.prepare(SET).bind("cancelled", key).run();
      return Response.json({ key });
    }
    return Response.json(await env.BOOKINGS.prepare(SHOW).bind(key).first());
  },
} satisfies ExportedHandler<Env>;
