"""Stages and what they share, on Spark; its doors are the stages' `run` functions, which the table
of stages names.
"""
