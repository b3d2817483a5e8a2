"""Every figure in the README, each by a command, with peers side by side."""
