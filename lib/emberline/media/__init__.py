"""Pictures, and what becomes pictures: found, read, judged, numbered and written, on a flow."""
