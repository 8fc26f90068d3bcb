"""Executes operations: finds or makes the plan of each, and runs it.

Failures become the `errors` of a response here.
"""
