"""Actions on instances of the engine, and repairs where tracked and engine status differ."""
