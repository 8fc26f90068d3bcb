"""The ports to the database and to the engine: what the domain requires of each.

`sql` contains the pieces of SQL text that statements are built from.
"""
