"""What a reason is: a past event, people alike, what is known of the user, or what all like."""

EVENT, NEIGHBOR, ATTRIBUTE, POPULAR = "event", "neighbor", "attribute", "popular"
