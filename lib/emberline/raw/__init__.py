"""Raw files as rows on a flow: read, cleaned, and judged by how many cannot be used; and the
indices that outside ids get.
"""
