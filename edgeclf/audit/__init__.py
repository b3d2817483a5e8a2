"""Look for what is wrong with a folder of pictures before training on it."""
