# SPDX-License-Identifier: Apache-2.0
"""Policy backends: what a policy must offer, and which ones are known."""
