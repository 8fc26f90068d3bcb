"""`flowflare setup`: makes a Worker project the service, or a client of it.

`plan` decides what the configuration needs, `jsonc` and `toml` edit it in place, `wrangler` calls
Cloudflare, `command` asks and reports. docs/setup.md describes it.
"""

from flowflare.setup.command import setup

__all__ = ["setup"]
