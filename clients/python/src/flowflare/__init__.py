"""Flowflare for Python: track Cloudflare Workflows, query them and act on them."""
