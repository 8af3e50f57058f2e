"""rftlab: the lab where task samplers for reinforcement finetuning of language models are compared honestly."""

__version__ = "0.1.0"
