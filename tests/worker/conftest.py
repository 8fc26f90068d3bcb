"""The servers' fixtures are in tests/support/servers.py, for the tests of clients share them."""

from tests.support.servers import StartServer

__all__ = ["StartServer"]
