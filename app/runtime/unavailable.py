"""Unavailable: why the engine accepts no command now, whatever the command."""


class EngineHalted(Exception):
    """The journal cannot be written, or the engine has met a bug: nothing is accepted any more."""


class Overloaded(Exception):
    """The inbox or the journal's queue is full: try again in a moment."""


class StorageFull(Exception):
    """The journal has used up its disk budget: nothing that may add risk is accepted, cancels are."""
