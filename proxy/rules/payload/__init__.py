"""What an event says of itself: custom data, amounts, and what is taken out of them."""
