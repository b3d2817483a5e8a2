"""What the commands that read pictures share: options, workers, results."""
