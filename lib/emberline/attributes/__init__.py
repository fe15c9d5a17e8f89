"""The stage prepare-items, on a flow."""
