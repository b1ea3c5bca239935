"""Counters scraped and relabelled."""
