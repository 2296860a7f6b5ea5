"""The steps of a run: simulate, recover, score, report."""

from xrdct_sim.workflow.steps import recover, report, run, score, simulate

__all__ = ["recover", "report", "run", "score", "simulate"]
