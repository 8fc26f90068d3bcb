"""The ports to the database and the engine, and the SQL text that statements are made of."""
