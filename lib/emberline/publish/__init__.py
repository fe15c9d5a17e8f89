"""Releases of the tables that are served, and the gates before them; its door is `releases`."""
