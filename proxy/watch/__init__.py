"""The watch: checks figures once a minute for troubles that no single event shows."""
