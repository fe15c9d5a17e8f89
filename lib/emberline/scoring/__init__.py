"""Scores and lists by blocks of users and items: the models' pieces and predictions (`models/`),
the best of products (`topk`), full lists (`lists`), and the stages that write them.
"""
