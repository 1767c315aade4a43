"""What is decided: VAT, reservation, credit, approval. Pure functions: no clock, no I/O, no async."""
