"""The stage prepare-ratings, on a flow."""
