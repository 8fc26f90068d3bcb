"""Executes operations: finds the plan of each, runs it, and reports failures."""
