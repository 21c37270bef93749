"""Bundles measured: accuracy and latency of every scenario, and accuracy through each fault."""
