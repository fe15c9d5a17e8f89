"""The settings of a pipeline, a file per section; its door is `config.py`, which holds the whole
Config.
"""
