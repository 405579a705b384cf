# SPDX-License-Identifier: Apache-2.0
"""The embedded policy: an ensemble of small networks that ships with SALUS."""
