"""The front door: route table, Envoy snapshots, control plane, console."""
