"""WorkflowFollower, the Durable Object that follows the engine's histories.

`follower.mjs` keeps the list of followed instances and reads their histories (`history.mjs`), and
`resolvers.following` records them. `follower.py` and `edge.mjs` are the edge to the runtime.
"""
