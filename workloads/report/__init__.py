"""The report page of a run: plain records in, one self-contained page out."""
