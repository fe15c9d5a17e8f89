"""Cosine neighbours by blocks of ratings; its door is `stage`, the stage train-cosine."""
