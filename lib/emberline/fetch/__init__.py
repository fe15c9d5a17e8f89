"""Public datasets from their publishers, checked and unpacked; its door is `dataset.fetch`."""
