"""The model: what is known (snapshots), what is missing, and what follows (findings, reports). All of it immutable."""
