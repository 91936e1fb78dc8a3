"""Campaigns of fault trials: scenarios x points x kinds x seeds, over many processes or machines, resumable at any
moment.

A TOML file says what to try (`spec`, `plan`), an engine works it in chunks (`engines`, `run`), a SQLite file keeps
every outcome (`store`), a gate judges (`gate`); what fails is shrunk (`shrink`) and kept as a test (`regression`).
"""

from faultinj.campaign.begin import open_campaign
from faultinj.campaign.run import run_campaign
from faultinj.campaign.spec import Campaign, CampaignUnreadable, read_campaign
from faultinj.campaign.store import Store, load_result

__all__ = ["Campaign", "CampaignUnreadable", "Store", "load_result", "open_campaign", "read_campaign", "run_campaign"]
