"""The report of runs: reading.py reads them, runs.py holds one run, groups.py groups those that
differ only in their seeds, phrases.py describes them, tables.py compares them, plots.py draws them,
and page.py writes the report. recipes.py and trick_table.py write the tables of recipes/README.md
and README.md.
"""
