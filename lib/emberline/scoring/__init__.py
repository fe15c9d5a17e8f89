"""Scores and lists by blocks of users and items: `topk` finds the best, `completion` makes full
lists of them.
"""
