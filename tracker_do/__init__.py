"""WorkflowTracker, the Durable Object behind subscriptions."""
