"""The first lines of raw files, read before Spark starts; its door is `examine`."""
