"""WorkflowTracker, the hibernating Durable Object that serves subscriptions.

`frames` and `protocol` are graphql-transport-ws, `rounds` reads the log for all subscribers at
once, `server` joins them; `tracker.py` and `edge.mjs` are the edge to the runtime.
"""
