"""The training room: run.py puts a run together, loop.py trains, the other files each hold one of
its needs.
"""
