"""Measurements that print ratios within one run, because machines are noisy and shared."""
