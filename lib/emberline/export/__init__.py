"""A table as one file for other programs; its door is `table.export`."""
