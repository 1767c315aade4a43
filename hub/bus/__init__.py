"""How it travels: Kafka through aiokafka."""
