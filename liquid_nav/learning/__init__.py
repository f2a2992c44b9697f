"""Learning to fly: experts, datasets of event sequences, imitation."""
