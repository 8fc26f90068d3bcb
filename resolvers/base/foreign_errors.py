"""Errors of D1 and of the engine, recognised by their words: they have no codes.

Each pattern is a regular expression that Python and JavaScript read alike. Those that JavaScript
needs cross to it as data.
"""

import re

# --- D1

# A text is longer than D1 holds.
TOO_BIG = re.compile(r"too big|SQLITE_TOOBIG")
# The words of that for what is refused on this side.
TOO_BIG_MESSAGE = "D1_ERROR: string or blob too big: SQLITE_TOOBIG"
# A batch failed for a statement in it, not for the way to the database.
OF_STATEMENT = re.compile(rf"SQLITE_ERROR|{TOO_BIG.pattern}")
# A batch failed and was undone, though not for what it would have written. Of other failures it is
# not known whether the write was undone.
OF_READ = re.compile(r"SQLITE_(?!CONSTRAINT)")
# The reason with which a transaction has refused itself (see writes/refusals.py).
REFUSAL = re.compile(r'\{"refusal":.*\}')

# --- The engine

# There is no instance of the id: the code, and the words of the local engine.
NO_INSTANCE = re.compile(
    r"instance\.not_found|instance (does )?not (exist|found)|never started", re.IGNORECASE
)
# There is one already.
INSTANCE_EXISTS = re.compile(r"already[ ._]exists", re.IGNORECASE)
