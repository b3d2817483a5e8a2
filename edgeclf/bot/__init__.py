"""A Telegram bot that answers pictures with hashtags or labels (extra `[bot]`)."""
