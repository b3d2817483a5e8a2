"""Label millions of pictures into a Parquet dataset; see `edgeclf.engines`."""
