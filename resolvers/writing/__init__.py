"""Mutations that write: validated inputs become the statements of one transaction.

The triggers of `migrations/0005_triggers.sql` derive events, counters and attempts from them.
"""
