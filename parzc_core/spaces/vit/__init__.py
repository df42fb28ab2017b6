"""Vision Transformers: AutoFormer-Tiny and PiT."""
