"""Errors of D1 and of the engine, recognised by their messages because they have no codes.

Each pattern is a regular expression that means the same in Python and JavaScript, flags included.
Those that JavaScript needs cross to it as data (see runtime/settings.py).
"""

import re

# --- D1

# A text is longer than D1 can store.
TOO_BIG = re.compile(r"too big|SQLITE_TOOBIG")
# The same error, for texts that are refused before they reach D1.
TOO_BIG_MESSAGE = "D1_ERROR: string or blob too big: SQLITE_TOOBIG"
# A statement of the batch failed, not the connection to the database.
STATEMENT_FAILED = re.compile(rf"SQLITE_(ERROR|CONSTRAINT)|{TOO_BIG.pattern}")
# The batch was rolled back, and not because of a constraint, so a read in it may be the cause.
# After other failures it is not known whether the batch was rolled back.
READ_FAILED = re.compile(r"SQLITE_(?!CONSTRAINT)")
# Several instances have the id that a read named; the text is an argument that SQLite quotes (see
# planners/roots.py).
AMBIGUOUS = re.compile(r'\{"ambiguous":.*\}')
# The reason for which a transaction refused itself (see writing/refusals.py).
REFUSAL = re.compile(r'\{"refusal":.*\}')

# --- The engine

# The engine has no instance with this id: its code, and the messages of the local engine.
NO_INSTANCE = re.compile(
    r"(?i:instance\.not_found|instance (does )?not (exist|found)|never started)"
)
# The same error, for instances that are found missing before the engine is asked to act.
NO_INSTANCE_MESSAGE = "it has no instance of this id (instance.not_found)"
# The engine has an instance with this id already.
INSTANCE_EXISTS = re.compile(r"(?i:already[ ._]exists)")
