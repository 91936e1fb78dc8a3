"""The errors of campaigns and trials that end a command with one line on stderr, and its status then."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import typer

from faultinj.campaign.driver import DriverMissing
from faultinj.campaign.engines import EngineGone, EngineUnknown
from faultinj.campaign.run import ChunkFails
from faultinj.campaign.shrink import DoesNotFail
from faultinj.campaign.spec import CampaignUnreadable
from faultinj.campaign.state import OtherCampaign, StoreBusy, StoreExists, StoreFails, StoreUnreadable
from faultinj.campaign.work import WorkerLost
from faultinj.cli.campaign_screen import complain
from faultinj.trial_id import TrialIdError

__all__ = ["guarded"]

_USAGE = (CampaignUnreadable, StoreUnreadable, StoreExists, OtherCampaign, EngineUnknown, TrialIdError, DriverMissing)
_FAILED = (StoreBusy, StoreFails, EngineGone, ChunkFails, DoesNotFail, WorkerLost)
P = ParamSpec("P")


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """Tell the command's errors: status 2 where what was typed or written is wrong, 1 where the work failed."""

    @functools.wraps(command)
    def tells(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except _USAGE as error:
            complain(str(error))
            raise typer.Exit(2) from error
        except _FAILED as error:
            complain(str(error))
            raise typer.Exit(1) from error

    return tells
