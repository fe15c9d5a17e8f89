"""Reading of published tables by whoever serves or shows them, without Spark; its doors are `names`
and `lookup`.
"""
