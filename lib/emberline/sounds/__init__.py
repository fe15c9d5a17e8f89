"""Sounds to log-mel spectrograms, which are pictures, or a reason why not; their augmentation."""
