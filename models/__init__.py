"""Model files that come with edgeclf; a card for each is in README.md."""
