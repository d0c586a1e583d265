"""Registries over the distribution API: what a tag names, whether a digest exists, what an image is made of.

``interface`` says what callers need, ``client`` asks real registries; tests bring a fake or start one of their own.
"""
