"""The public addresses, looked at as a visitor would: names, TLS, tag, page and a round trip."""
