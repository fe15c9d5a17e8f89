"""Recorded sounds as spectrograms, on a flow; its door is `stage`, the stage prepare-sounds."""
