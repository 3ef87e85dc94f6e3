from ._drawn import drawn_trap
from ._observed import observed_trap
from ._summary import trap_summary

__all__ = ["drawn_trap", "observed_trap", "trap_summary"]
