"""The faces of an analysis: text, JSON, SARIF, drawings, one HTML page. One file a face.

A face reads finished findings and records, and decides nothing about them.
"""
