"""A trained network outside of the training room: opened, folded, converted, quantised, compared."""
