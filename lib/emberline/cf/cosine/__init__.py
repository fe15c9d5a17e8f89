"""Cosine neighbours of a sparse matrix's rows; its door is `similarity`, which has the formulas."""
