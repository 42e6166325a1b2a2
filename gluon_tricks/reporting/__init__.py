"""Runs as a page: reading.py reads them, runs.py says what a run is, groups.py which
differ in their seeds alone, phrases.py names them, tables.py compares them, plots.py draws them,
page.py writes the report. recipes.py and trick_table.py write the tables of recipes/README.md and
README.md.
"""
