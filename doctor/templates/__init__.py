"""Texts that kdoctor init fills in."""
