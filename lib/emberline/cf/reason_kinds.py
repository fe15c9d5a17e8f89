"""What a reason is: a past event, people alike, what is known of the item or the user, what people
like with whom the user has something in common, or what all like.
"""

EVENT, NEIGHBOR, ATTRIBUTE = "event", "neighbor", "attribute"
SEGMENT, POPULAR = "segment", "popular"
