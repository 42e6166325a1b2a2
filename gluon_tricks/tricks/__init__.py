"""The paper's tricks, one idea a file, usable from any Gluon training loop (README.md shows how)."""
