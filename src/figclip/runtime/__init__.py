"""How any of it runs: files written whole, worker processes, several ranks, settings of the CPU."""
