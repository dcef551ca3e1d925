"""Clients that mean no good, and what they are let loose on. Used by `scripts/proxies` and `scripts/soak`."""
