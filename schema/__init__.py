"""The GraphQL API: Strawberry types whose fields are declared with their SQL, and HTTP.

`schema.graphql` is exported from this code by `python -m scripts.export_schema`.
"""
