"""The apps that the benchmarks serve: one module a contender, so that none carries another's."""
