"""Policy backends: what a policy must offer, and which ones are known."""
