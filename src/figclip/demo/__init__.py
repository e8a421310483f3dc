"""demo: a page to play with a model: who does what, search, annotations."""
