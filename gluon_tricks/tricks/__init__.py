"""The paper's tricks, one idea a file, for any Gluon training loop (README.md shows how).

table.py has what plan, report and README.md say of each.
"""
