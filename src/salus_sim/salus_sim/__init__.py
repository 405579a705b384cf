# SPDX-License-Identifier: Apache-2.0
"""The worlds that SALUS drives, the referee that judges episodes, and the node that runs them."""
