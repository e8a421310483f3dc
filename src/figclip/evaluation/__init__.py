"""What `figclip eval` does: tests opened, models compared, results written."""
