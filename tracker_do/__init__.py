"""WorkflowTracker, the hibernating Durable Object that serves subscriptions.

`frames` and `protocol` implement graphql-transport-ws, `polling` reads the log for all subscribers
at once, and `server` exposes both to JavaScript. `tracker.py` and `edge.mjs` are the edge to the
runtime, behind which the other `.mjs` modules manage connections and deliver results.
"""
