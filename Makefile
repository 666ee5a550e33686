# Names, no logic. Everything runs in .venv, which is made on first use.
PYTHON ?= python3
BIN := .venv/bin
STRIP := $(BIN)/nbstripout --keep-id --keep-count --extra-keys "metadata.papermill metadata.widgets metadata.language_info.version"
NOTEBOOKS = $(shell git ls-files 'notebooks/*.ipynb')

# two tests side by side, one thread each; no bars in what is compared
test check: export OMP_NUM_THREADS := 1
test check: export TQDM_DISABLE := 1

.PHONY: demo test lab check format results site gallery bench

demo:  ## install; train all four papers on a small drawn set; pages, a table, what it took
	@$(PYTHON) bench/timed.py 'installation=$(MAKE) --no-print-directory .venv/ready' 'four papers=$(BIN)/reid run fanet rganet flannet fba --on plaza_small --outputs outputs/demo --html --jobs 2'

test: .venv/ready  ## all tests, doctests and every notebook
	$(BIN)/pytest -q -n 2 --dist loadfile --nbval-lax --nbval-current-env --nbval-cell-timeout=600 --nbval-kernel-startup-timeout=300 tests reidlib reidrun notebooks

lab: .venv/ready  ## open the notebooks; outputs/, docs/ and params/ lie beside them
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks

check: .venv/ready  ## before a commit: style, rooms, the form of notebooks, tests of what changed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest -q tests/test_house.py tests/test_rooms.py tests/test_notebooks.py $$($(BIN)/python tests/changed.py)

format: .venv/ready  ## what `check` wants of code and notebooks, done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(STRIP) $(NOTEBOOKS)

site: .venv/site  ## lessons, executed pages, documents and API as pages with search, in site/
	$(BIN)/python -m sphinx -W --keep-going -q -j auto -c docs -d site/.doctrees . site

gallery: site  ## the same in a browser, until Ctrl-C
	$(BIN)/reid gallery

results: .venv/ready  ## the README's table, from the runs in git
	$(BIN)/reid results --write

bench: .venv/ready  ## speed and memory beside their floors: outputs/benchmarks/, in twelve minutes
	$(BIN)/python -m bench

.venv/site: .venv/ready
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[site]'
	touch $@

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed: make PYTHON=python3.11')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock -e .
	touch $@
