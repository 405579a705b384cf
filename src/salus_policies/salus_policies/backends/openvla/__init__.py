# SPDX-License-Identifier: Apache-2.0
"""OpenVLA, and other models whose actions are tokens of a language model."""
