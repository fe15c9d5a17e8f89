"""The stage export-shards, on a flow."""
