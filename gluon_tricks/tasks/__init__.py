"""What a network is trained for: targets, loss, and the figures that are logged and compared."""
