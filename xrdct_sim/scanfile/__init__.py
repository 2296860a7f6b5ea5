"""The waist: a scan on disk or as a stream, simulated or measured."""
