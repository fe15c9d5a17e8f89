"""Cosine neighbours on Spark; its door is `stage`, the stage train-cosine."""
