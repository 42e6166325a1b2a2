"""A trained network outside of the training room: opened from any form, folded, converted, quantised, compared."""
