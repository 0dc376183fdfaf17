"""Poses, trajectories, layers, moves; the 100 Hz loop."""
