# Every command first sets up what it needs; steps that are done are skipped.

PYTHON ?= python3
PORT ?= 8787
export PORT FLOWFLARE_STATE

# No target is a file, and set-up must finish before what needs it starts.
.PHONY: help setup dev serve check format test bench soak lock clean
.NOTPARALLEL:

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16
	@echo
	@echo "  Set PORT (default 8787) and FLOWFLARE_STATE (default .flowflare/state) to change the"
	@echo "  port and the folder of the local data."

setup: ## Install and prepare everything, without running anything
	@$(PYTHON) -m scripts.setup

dev: setup ## Start wrangler's development server, which reloads after edits
	@exec .venv/bin/python -m scripts.dev

serve: setup ## Start the Worker without wrangler; WITH="examples/…" runs Workers beside it
	@exec .venv/bin/node scripts/serve.mjs $(foreach folder,$(WITH),--beside $(folder))

check: setup ## Check format, lint, types and generated files
	@.venv/bin/python -m scripts.check

format: setup ## Format the code, and let ruff repair what it can
	@.venv/bin/ruff check --quiet --fix . ; .venv/bin/ruff format .
	@.venv/bin/node node_modules/prettier/bin/prettier.cjs --write --log-level warn .

# Two processes, because starting a server, which takes most of the time, uses 1.5 cores.
test: setup ## Run all tests; ARGS="-k name" selects some
	@.venv/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

bench: setup ## Compare Flowflare's speed with its peers'; ARGS are passed on
	@exec .venv/bin/node benchmarks/run.mjs $(ARGS)

soak: setup ## Run the service under load for minutes, and check for lost events; ARGS are passed on
	@exec .venv/bin/node benchmarks/soak.mjs $(ARGS)

# Set-up runs only if npm is missing: it fails while package.json and its lock file differ.
lock: ## Resolve the dependencies again and write the lock files
	@test -x .venv/bin/npm || $(PYTHON) -m scripts.setup
	@.venv/bin/python -m scripts.lock

clean: ## Remove everything generated; data and .dev.vars stay
	rm -rf build python_modules node_modules .venv .flowflare/cache .wrangler
	rm -f .flowflare/workerd .flowflare/*.stamp .flowflare/setup.lock
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
