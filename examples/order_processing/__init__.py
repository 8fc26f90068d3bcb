"""An order: validated, paid for with retries, held back a moment, shipped."""
