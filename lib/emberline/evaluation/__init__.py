"""The stage evaluate, on a flow: `stage` writes what the other modules measure."""
