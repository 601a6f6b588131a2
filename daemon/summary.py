"""What a run did, counted by outcome."""

from dataclasses import dataclass

from daemon.outcomes import Duplicate, Loaded, Outcome, Refused


@dataclass(slots=True)
class Summary:
    """What a run did."""

    loaded: int = 0
    partial: int = 0
    duplicate: int = 0
    refused: int = 0
    rows_loaded: int = 0
    rows_rejected: int = 0

    @property
    def deliveries(self) -> int:
        """All of them."""
        return self.loaded + self.partial + self.duplicate + self.refused

    @property
    def all_well(self) -> bool:
        """Whether nothing was refused or rejected."""
        return not (self.partial or self.refused)

    def count(self, outcome: Outcome) -> None:
        """Adds one delivery."""
        match outcome:
            case Loaded(counts=counts):
                if outcome.partial:
                    self.partial += 1
                else:
                    self.loaded += 1
                self.rows_loaded += counts.loaded
                self.rows_rejected += counts.rejected
            case Duplicate():
                self.duplicate += 1
            case Refused():
                self.refused += 1
