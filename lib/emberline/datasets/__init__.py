"""Datasets: manifests, parts, schemas and the order of an epoch; its door is `manifest.load`."""
