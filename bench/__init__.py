"""The benchmark: Banyan beside named peers, on one machine, in one run."""
