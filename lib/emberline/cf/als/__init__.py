"""Alternating least squares on NumPy's arrays; its door is `half_step`, the factors of one side
from the other side's.
"""
