"""Cosine neighbours of a sparse matrix's rows; its door is `similarity`, what is searched and how."""
