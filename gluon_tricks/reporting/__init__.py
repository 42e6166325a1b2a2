"""The reporting room: runs.py reads runs, words.py names them, tables.py compares them, plots.py draws, page.py writes."""
