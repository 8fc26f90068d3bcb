"""The domain: planning selections into SQL, writes and their rules, access, the engine.

Nothing here imports `js`, `pyodide` or `workers`, nor the GraphQL surface in `schema`.
"""
