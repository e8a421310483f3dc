"""Published test sets: how their official files are read."""
