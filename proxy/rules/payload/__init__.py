"""An event's own data (custom data, amounts, name and id) and its page's addresses, and what is taken out of them."""
