"""Training of policies: experts, recorded episodes, and imitation of the experts."""
