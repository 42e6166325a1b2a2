"""Measurements that print ratios of one run, because machines are noisy and shared."""
