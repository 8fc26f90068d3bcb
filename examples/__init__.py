"""Examples of complete workflows."""
