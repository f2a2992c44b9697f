"""liquid_nav_models: the shipped model bundles, one directory a task, each with its card.

A package of data only, so that a checkout and an installation find them in the same way, by
`importlib.resources`.
"""
