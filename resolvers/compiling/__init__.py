"""Compiles GraphQL documents to SQL: one SELECT for each root field, whose only column is JSON."""
