"""The steps of a run: simulate, recover, score, report."""
