# SPDX-License-Identifier: Apache-2.0
"""What runs in the embedded environment: collection, policy training, policy evaluation."""
