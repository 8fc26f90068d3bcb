CREATE TABLE bookings (
  booking_key TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  requests INTEGER NOT NULL DEFAULT 1,
  state TEXT NOT NULL CHECK (state IN ('asked', 'booked', 'cancelled'))
) STRICT;
