"""Kafka as this project uses it: settings, errors, one producer, one reader, group offsets."""
