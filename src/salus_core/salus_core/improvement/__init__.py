# SPDX-License-Identifier: Apache-2.0
"""Learning on: new checkpoints take the place of old ones only where they are better."""
