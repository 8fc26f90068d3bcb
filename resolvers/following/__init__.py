"""Following: the engine's history of an instance becomes its rows, with the engine's times.

A history is read from outside (see runtime/history.mjs) and translated here, event by event.
"""
