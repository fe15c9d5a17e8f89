"""Collaborative filtering on NumPy's arrays: pure functions, each module the door to its own."""
