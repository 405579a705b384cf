# SPDX-License-Identifier: Apache-2.0
"""Records episodes to Zarr, and shows what was recorded."""
