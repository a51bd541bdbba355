"""Faults of PostgreSQL and Envoy, which hold no agent of ours: made from outside, in the demo."""
