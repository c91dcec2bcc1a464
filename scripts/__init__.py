"""Programs for working on the project, run from its root: `python -m scripts.demo`, `scripts.up`, `scripts.down`."""
