"""One module per model: `pieces` of its lists' scores, and `predict` where it predicts ratings;
`offers.py` finds the module of a name.
"""
