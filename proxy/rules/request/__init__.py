"""What a request says before its events are looked at: who asks, of which site, with which cookies."""
