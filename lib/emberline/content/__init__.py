"""The stage train-content, on a flow: `stage` writes what items' attributes predict; `gathering`
brings together what is known of them, and `learning` fits.
"""
