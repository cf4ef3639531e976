"""What docs/benchmarks.md claims, made anew: `python -m benchmarks [NAME ...]`."""
