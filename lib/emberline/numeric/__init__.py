"""The types of arrays, and hashes of numbers, that rooms above share; its doors are `arrays` and
`hashing`.
"""
