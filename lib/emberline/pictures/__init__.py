"""The stage prepare-images, on a flow."""
