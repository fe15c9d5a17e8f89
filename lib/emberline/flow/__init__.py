"""Work on blocks, on this machine's cores or on Spark's; `rows` says what can be done, `here` does
it without Java.
"""
