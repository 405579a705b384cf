# SPDX-License-Identifier: Apache-2.0
"""Reports of evaluations: reading the splits, figures of each method, tables, pictures."""
