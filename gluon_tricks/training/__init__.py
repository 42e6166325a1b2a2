"""A training run: run.py puts it together, loop.py trains, the other files do one thing each."""
