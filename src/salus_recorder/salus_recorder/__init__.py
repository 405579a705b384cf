"""Records episodes to Zarr, and shows what was recorded."""
