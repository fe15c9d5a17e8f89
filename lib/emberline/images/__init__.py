"""Bytes of pictures to pixels of one size, or the reason why not; its door is `decode.decode`."""
