"""Simpler answers to the question how new items rank, as factors: `stage.py` writes them."""
