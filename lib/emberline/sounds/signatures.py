"""What files that are called sounds are by their first bytes, where they are something else, and
what MP3's own header says of their length, before anything is decoded.
"""

_FOREIGN = {
    b"\x89PNG\r\n\x1a\n": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"%PDF-": "a document (PDF)",
    b"PK\x03\x04": "an archive (ZIP)",
    b"\x1f\x8b": "an archive (gzip)",
    b"PAR1": "a table (Parquet)",
    b"version https://git-lfs": "a pointer of Git LFS to the file, which was not fetched",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
}
_HEAD = 4096  # bytes within which MP3's first frame has its header
_XING = (b"Xing", b"Info")
_FRAMES, _BYTES = 1, 2  # flags of that header: whether it says these


def foreign(content: bytes | memoryview) -> str | None:
    """Why bytes are none that need be decoded, if so.

    mpg123 complains on the process's own standard error of an MP3 file that was cut.
    """
    head = bytes(content[:_HEAD])
    if not head:
        return "empty file"
    start = head[:24].lstrip().lower()
    for signature, kind in _FOREIGN.items():
        if head.startswith(signature) or start.startswith(signature):
            return f"not a sound but {kind}"
    cut = _is_cut_mp3(content, head)
    return "truncated: less is there than its header says" if cut else None


def _is_cut_mp3(content: bytes | memoryview, head: bytes) -> bool:
    """Whether the header of variable bit rates (Xing's, which LAME calls Info) says more bytes."""
    begin = 0
    if head.startswith(b"ID3"):  # before the sound; its size is in bytes of seven bits
        begin = 10 + sum((byte & 127) << 7 * (3 - at) for at, byte in enumerate(head[6:10]))
        head = bytes(content[begin : begin + _HEAD])
    if len(head) < 2 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    at = max(head.find(mark, 0, 64) for mark in _XING)
    flags = int.from_bytes(head[at + 4 : at + 8])
    if at < 0 or not flags & _BYTES:
        return False
    place = at + 8 + (4 if flags & _FRAMES else 0)
    return len(content) - begin < int.from_bytes(head[place : place + 4])
