"""Compare this server with others, on this machine, in one run. See docs/benchmarks.md."""
