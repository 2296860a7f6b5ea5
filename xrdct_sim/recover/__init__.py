"""The inverse composer: from a scan to maps with error bars; never sees a phantom."""
