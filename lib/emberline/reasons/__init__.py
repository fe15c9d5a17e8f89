"""The stage explain, on a flow."""
