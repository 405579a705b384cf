"""What runs in the embedded environment: collection, policy training, policy evaluation."""
