"""Which tasks, how many rollouts of each, and which groups are trained on."""
