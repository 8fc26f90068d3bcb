"""Actions on instances of the engine: pause, resume, terminate, restart, send an event.

Reconciliation lives here too: it repairs instances whose tracked status has drifted from the
engine's.
"""
