"""The stage split-ratings, on a flow: `stage` writes the sets that `marking` says."""
