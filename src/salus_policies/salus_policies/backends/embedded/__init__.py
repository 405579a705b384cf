"""The embedded policy: an ensemble of small networks that ships with SALUS."""
