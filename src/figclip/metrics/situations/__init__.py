"""Scores of predicted verbs, roles, co-reference and relations, as VidSitu's evaluator computes."""
