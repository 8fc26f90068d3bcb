"""What mutations do: validated inputs become the statements of one transaction.

`transitions` is the table of legal changes; events, counters and attempts follow from the
changes by the triggers of `migrations/0004_triggers.sql`.
"""
