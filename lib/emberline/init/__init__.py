"""A pipeline written from a look at somebody's files; its door is `pipeline.write`."""
