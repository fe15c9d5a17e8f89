"""Processes that never outlive their parent, as teams; its door is `supervise.supervise`."""
