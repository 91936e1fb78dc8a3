"""Reports: plain records in, text, terminal tables and self-contained pages out.

Sees the frozen records of `shmalloc.stats` and nothing else: no arena is opened, read or changed from here.
"""
