"""Processes under witness as they are now: who waits for whom. Reads the shared blocks of others; changes nothing."""

from witness.live.blocks import Unwatched
from witness.live.situation import Holding, Lock, Situation, ThreadNow, Waiting, why

__all__ = ["Holding", "Lock", "Situation", "ThreadNow", "Unwatched", "Waiting", "why"]
