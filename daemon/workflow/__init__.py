"""The daily workflow: what is left to do at a day's end, in steps that report for themselves."""

from daemon.workflow.orchestrator import Workflow
from daemon.workflow.steps import Outcome, Step

__all__ = ["Outcome", "Step", "Workflow"]
