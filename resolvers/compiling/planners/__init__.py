"""From a GraphQL selection to SQL: one SELECT a root field, whose only column is JSON text.

`compiler` walks a selection; `pages`, `filters`, `events` and `stats` know the shapes that
are more than a column or a join.
"""
