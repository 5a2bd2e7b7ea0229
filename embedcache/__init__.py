"""embedcache: embed labelled images once, fit classifiers on the cached features in seconds."""
