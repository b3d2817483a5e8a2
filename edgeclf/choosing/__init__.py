"""Choose a backbone, a head and settings by measuring. Needs the extra `train`."""
