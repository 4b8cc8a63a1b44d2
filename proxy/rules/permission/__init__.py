"""Whether events may leave at all: consent, opt-outs, signals of the browser, bots."""
