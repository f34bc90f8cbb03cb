"""Paper venue: a simulated exchange inside the process: price-time priority, fed by displayed depth.

An incoming order meets the best price among resting orders of users and the depth that the outside
market displays, less what was already taken of it. At one price the displayed depth trades first:
in the real book a user's order stands behind it, so a resting paper order is filled no earlier than
a real one would be. A resting order fills as a maker, at its own price, when another user takes it
or when displayed depth of the other side reaches its price.
"""

from app.venues.paper.stepper import PaperStepper
from app.venues.paper.venue import PaperVenue

__all__ = ["PaperStepper", "PaperVenue"]
