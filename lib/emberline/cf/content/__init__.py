"""How like each other items, or users, are by what is known of them besides ratings: `tokens` are
hashed, `features` are made of them and of numbers, `kernels` compare these with landmarks, and
`selection` says which of them count.
"""
