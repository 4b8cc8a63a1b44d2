"""The doors for servers: events of a backend, an SDK or a shop, as Meta's Graph API and its Gateway take them."""
