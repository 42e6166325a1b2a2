"""Trained networks in use: opened, evaluated, converted for other programs, and compared."""
