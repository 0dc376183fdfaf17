"""Modes, lifecycle supervision and its client."""
