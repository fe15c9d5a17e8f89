"""Alternating least squares on Spark; its door is `stage`, the stage train-als."""
