"""The reporting room: runs.py reads runs, words.py names them, tables.py compares them, plots.py
draws them, page.py writes the report; recipes.py writes the table of recipes."""
