"""The formats of picture files."""

# Raster formats that Pillow decodes in this process; others, such as EPS, start foreign programs on
# what they are given.
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
# of the names of such files
EXTENSIONS = frozenset(
    {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
)
