"""Data sets into RecordIO files: a module for each kind of source, and what they share."""
