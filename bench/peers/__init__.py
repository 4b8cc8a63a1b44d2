"""The servers that the proxy is compared with: what people write with Meta's SDK, and bare servers as units.

They store nothing and send nothing, and they have no limits, no consent and no cookies: all that is in their favour.
"""
