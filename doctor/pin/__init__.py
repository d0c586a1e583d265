"""Digests into the files that name images.

``files`` reads, ``digests`` asks, ``spots`` and ``plan`` place, ``changes`` shows and writes, ``run`` joins them.

A plan is never trusted: the rewritten text is read again by the same reader, and stands only where every use of an
image is as it was or carries exactly the digest that it was meant to get.
"""
