"""Every limit with its name and default; docs/limits.md describes each."""

# Pages (the public contract).
MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 20
MAX_EVENTS_PAGE_SIZE = 1_000
DEFAULT_EVENTS_PAGE_SIZE = 100
MAX_REFERENCE_KEYS = 1_000
MAX_NODE_IDS = 100
MAX_TIMELINE_SLICES = 1_000
MAX_BATCH_ITEMS = 100
MAX_RUNS = 100
DEFAULT_RUNS = 20
MAX_SAME_ID = 100
MAX_SUGGESTIONS = 5

# Requests.
MAX_BODY_BYTES = 2 * 1024 * 1024
# Above MAX_JSON_DEPTH, so that a value that is slightly too deep is refused with its path.
MAX_BODY_DEPTH = 250
# More than MAX_JSON_BYTES of single digits and commas contain.
MAX_BODY_VALUES = 300_000
# Authorization headers that are remembered as valid, so that their bodies are read at once.
MAX_KNOWN_CALLERS = 1_000
# These bound the time a document takes in the Worker, where parsing and validating take some 40 µs
# a token, to 150 to 200 ms (workerd 1.20261117, graphql-core 3.3.2, 2026-11-27).
MAX_DOCUMENT_CHARACTERS = 50_000
MAX_DOCUMENT_LINES = 5_000
MAX_DOCUMENT_TOKENS = 3_000
MAX_FIELDS = 1_000
MAX_OVERLAPPING_FIELDS = 10_000
# The introspection query of common tools returns 5,000.
MAX_INTROSPECTED_FIELDS = 7_500
MAX_DEPTH = 15
MAX_ALIASES = 100
MAX_NODES = 20_000
# Values of variables; a batch within its own limits has fewer.
MAX_VARIABLE_VALUES = 5_000
# An operation's root fields become statements of one D1 batch.
MAX_ROOT_FIELDS = 50
# An isolate has 128 MB, and a response is copied several times while it is joined and encoded.
MAX_RESULT_BYTES = 4_000_000
# Events that are read for a page, selected by the filter or not.
MAX_EVENTS_SCANNED = 10_000

# The `errors` of a refused request: less than 64 KiB in all, even if every character is escaped.
MAX_ERRORS = 10
MAX_REPORTED_MESSAGE = 400
MAX_REPORTED_LOCATIONS = 10

# Values.
MAX_JSON_BYTES = 512 * 1024
MAX_JSON_DEPTH = 200
PREVIEW_CHARACTERS = 1_000
# Writing a value as JSON stops at these. The size of what the engine stores, at most 1 MiB, is
# always counted.
MAX_WRITTEN_CHARACTERS = 8 * 1024 * 1024
MAX_WRITTEN_LEVELS = 100_000
# 4,300 decimal digits, the most that Python converts.
MAX_BIGINT_BITS = 14_284
MAX_ERROR_NAME = 256
MAX_ERROR_MESSAGE = 8 * 1024
MAX_ERROR_STACK = 32 * 1024
MAX_WORKFLOW_NAME = 64  # Cloudflare Workflows
MAX_INSTANCE_ID = 100  # Cloudflare Workflows
MAX_STEP_NAME = 256  # Cloudflare Workflows
MAX_REF_TYPE = 64
MAX_REF_ID = 256
MAX_SEARCH = 256
MAX_STEP_INDEX = 1_000_000
MAX_RUN = 1_000_000
MAX_ATTEMPT = 1_000_000
MAX_RETRIES = 1_000_000
# Attempts that were never reported and get a row when a later one is; the triggers repeat this.
MAX_FILLED_ATTEMPTS = 100
MAX_DESCRIPTION = 4_096
MAX_RETENTION_DAYS = 36_500
MAX_DURATION_MS = 2**53 - 1
MAX_FILTER_VALUES = 100
MAX_TOKEN_WORKFLOWS = 100
MIN_TOKEN_LIFETIME_MS = 60 * 1000
MAX_TOKEN_LIFETIME_MS = 30 * 24 * 60 * 60 * 1000
MAX_EVENT_TYPE = 100  # Cloudflare Workflows

# D1 (documented; the local runtime enforces few of them).
D1_MAX_STRING_BYTES = 2_000_000
D1_MAX_SQL_BYTES = 100_000
D1_MAX_PARAMETERS = 100
D1_MAX_FUNCTION_ARGUMENTS = 32

# Requests to the engine.
ENGINE_TIMEOUT_MS = 10_000
ENGINE_SETTLE_MS = 1_000
ENGINE_CONCURRENCY = 10

# Following. A part of a history has events of one instance, a batch of D1 parts of several.
MAX_FOLLOWED = 1_000
MAX_FOLLOW_OPEN = 500
MAX_FOLLOW_EVENTS = 100
MAX_FOLLOW_PART_BYTES = 256 * 1024
MAX_FOLLOW_BYTES = 8 * 1024 * 1024
# Half of the queries that D1 allows an invocation.
MAX_FOLLOW_STATEMENTS = 500
# Half of the subrequests that an invocation may make.
MAX_FOLLOW_CALLS = 5_000
# Names of sleeps and waits that are counted.
MAX_FOLLOW_RESTS = 100
MAX_FOLLOW_ERROR = 64 * 1024
FOLLOW_AHEAD = 8
FOLLOW_PAUSE_MS = 10
FOLLOW_PART_MS = 50
FOLLOW_START_MS = 50
FOLLOW_OPEN_MS = 5_000
FOLLOW_BEGIN_MS = 1_000
FOLLOW_QUIET_MS = 60_000
FOLLOW_MIN_REST_MS = 15_000
FOLLOW_MAX_REST_MS = 60 * 60 * 1000
FOLLOW_MAX_SLEEP_MS = 24 * 60 * 60 * 1000
FOLLOW_MAX_BUSY_REST_MS = 5 * 60 * 1000
FOLLOW_NEAR_MS = 10_000
FOLLOW_SETTLE_MS = 500
FOLLOW_FIRST_LOOK_MS = 60_000
FOLLOW_LOOK_FACTOR = 10
FOLLOW_ENDED_MS = 24 * 60 * 60 * 1000
FOLLOW_WATCH_MS = 5_000
FOLLOW_RETRY_MS = 1_000
FOLLOW_BEHIND_FAILURES = 3

# Work of one cron run. Getting a status takes two of the 1,000 subrequests of an invocation.
RECONCILE_AFTER_SECONDS = 60
RECONCILE_GIVE_UP_SECONDS = 24 * 60 * 60
RECONCILE_BATCH = 160
RECONCILE_PAGE = 20
RECONCILE_SECONDS = 60
RETENTION_BATCH = 50
RETENTION_STEPS = 2_000
RETENTION_BATCHES = 20
RETENTION_SECONDS = 30

# Subscriptions. A shard is one Durable Object; it polls the log (see docs/subscriptions.md).
MAX_SOCKETS = 10_000
MAX_SUBSCRIPTIONS = 100
MAX_FRAME_BYTES = 1024 * 1024
# Large enough for a token that names MAX_TOKEN_WORKFLOWS workflows.
MAX_INIT_FRAME_BYTES = 64 * 1024
MAX_INIT_FRAMES = 10
# Queries and mutations of a socket that are executed at once; each may have a result in memory.
MAX_CONCURRENT_OPERATIONS = 4
MAX_OPERATION_ID = 128
MAX_REPLAY_EVENTS = 100_000
MAX_POLL_EVENTS = 1_000
MAX_POLL_REPLAYS = 20
MAX_POLL_STATEMENTS = 100
MAX_UNREAD_CHARACTERS = 1024 * 1024
PONG_TIMEOUT_MS = 30_000
MAX_PREFETCH_STATEMENTS = 4
MAX_PREFETCH_NODES = 50
# A write of more statements adds too many events to read them before it is answered.
MAX_PREFETCH_WRITE_STATEMENTS = 20
# D1 may refuse a longer text; the shard's own poll handles that.
MAX_PREFETCH_CHARACTERS = 500_000
INIT_TIMEOUT_MS = 10_000
POLL_AGAIN_MS = 10_000
MAX_RETRY_MS = 60_000
SSE_KEEP_ALIVE_MS = 15_000

# Kept by a Worker between requests.
MAX_SUSPENDED_TASKS = 1_000
# Documents of up to 100 tokens each, at about 600 bytes a token.
DOCUMENT_CACHE_SIZE = 500
SUBSCRIPTION_PLAN_CACHE_SIZE = 5_000
PLAN_CACHE_SIZE = 1_000
WRITE_CACHE_SIZE = 500
