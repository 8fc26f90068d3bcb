"""Order processing: validate an order, charge the card with retries, wait, and ship."""
