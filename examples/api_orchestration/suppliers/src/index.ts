/**
 * An external booking API: often busy, sometimes sold out, and idempotent by key.
 *
 * PUT /KEY books, DELETE /KEY cancels, and GET /KEY shows a booking.
 */

interface Env {
  BOOKINGS: D1Database;
}

/** The body of a PUT. The first `busyFor` requests are refused, as if the supplier were busy. */
interface BookingRequest {
  kind: string;
  busyFor?: number;
  soldOut?: boolean;
}

const COUNT_REQUEST = `INSERT INTO bookings (booking_key, kind, state) VALUES (?, ?, 'asked')
  ON CONFLICT (booking_key) DO UPDATE SET requests = requests + 1 RETURNING requests`;
const SET_STATE = "UPDATE bookings SET state = ? WHERE booking_key = ?";
const SELECT_BOOKING = "SELECT kind, requests, state FROM bookings WHERE booking_key = ?";

async function book(
  env: Env,
  key: string,
  { kind, busyFor = 0, soldOut }: BookingRequest,
): Promise<Response> {
  const counted = await env.BOOKINGS.prepare(COUNT_REQUEST)
    .bind(key, kind)
    .first<{ requests: number }>();
  if ((counted?.requests ?? 0) <= busyFor) {
    return Response.json({ error: `${kind}: too many requests` }, { status: 503 });
  }
  if (soldOut) return Response.json({ error: `${kind}: sold out` }, { status: 409 });
  await env.BOOKINGS.prepare(SET_STATE).bind("booked", key).run();
  return Response.json({ key });
}

export default {
  async fetch(request, env): Promise<Response> {
    const key = decodeURIComponent(new URL(request.url).pathname.slice(1));
    if (request.method === "PUT") return book(env, key, await request.json<BookingRequest>());
    if (request.method === "DELETE") {
      await env.BOOKINGS.prepare(SET_STATE).bind("cancelled", key).run();
      return Response.json({ key });
    }
    return Response.json(await env.BOOKINGS.prepare(SELECT_BOOKING).bind(key).first());
  },
} satisfies ExportedHandler<Env>;
