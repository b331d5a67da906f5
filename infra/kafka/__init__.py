"""Apache Kafka without Docker: fetched by install.py, one node in node.py, clusters of them."""
