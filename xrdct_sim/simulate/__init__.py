"""The forward composer: from a phantom and an experiment to photon counts."""
