# SPDX-License-Identifier: Apache-2.0
"""Bring-up: what the launch files share."""
