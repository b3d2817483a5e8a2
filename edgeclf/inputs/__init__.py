"""Where pictures come from besides plain files: patterns, lists, the web, cameras."""
