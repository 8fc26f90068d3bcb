# Every command sets up what it needs first; a second start skips what is done.

PYTHON ?= python3
PORT ?= 8787
export PORT FLOWFLARE_STATE

# Nothing here is a file, and set-up must not run beside what needs it.
.PHONY: help setup dev serve check format test bench soak lock clean
.NOTPARALLEL:

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16
	@echo
	@echo "  PORT (default 8787) and FLOWFLARE_STATE (default .flowflare/state) are honoured."

setup: ## Install and prepare everything, without running anything
	@$(PYTHON) -m scripts.setup

dev: setup ## Development server: wrangler, reloads after edits
	@exec .venv/bin/python -m scripts.dev

serve: setup ## Server without the development proxy; WITH="examples/…" runs Workers beside it
	@exec .venv/bin/node scripts/serve.mjs $(foreach folder,$(WITH),--beside $(folder))

check: setup ## Format, lint, types and generated files
	@.venv/bin/python -m scripts.check

format: setup ## Format the code, and let ruff repair what it can
	@.venv/bin/ruff check --quiet --fix . ; .venv/bin/ruff format .
	@.venv/bin/node node_modules/prettier/bin/prettier.cjs --write --log-level warn .

# Two modules side by side: most of the time is spent starting servers, which use a core and a half.
test: setup ## All tests; ARGS="-k name" narrows them
	@.venv/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

bench: setup ## Measure Flowflare beside its peers; ARGS are handed on
	@exec .venv/bin/node benchmarks/run.mjs $(ARGS)

soak: setup ## Wear the service down for minutes, and look for lost events; ARGS are handed on
	@exec .venv/bin/node benchmarks/soak.mjs $(ARGS)

lock: ## Resolve the dependencies again and write the lock files
	@test -x .venv/bin/npm || $(PYTHON) -m scripts.setup # which fails where they do not match
	@.venv/bin/python -m scripts.lock

clean: ## Remove everything generated; data and .dev.vars stay
	rm -rf build python_modules node_modules .venv .flowflare/cache .wrangler
	rm -f .flowflare/workerd .flowflare/*.stamp .flowflare/setup.lock
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
