"""The paper's tricks and later ones, one idea a file, for any Gluon training loop (README.md shows
how).

``table.py`` holds what ``plan``, ``report`` and README.md say about each.
"""
