"""Alternating least squares on blocks of ratings; its door is `stage`, the stage train-als."""
