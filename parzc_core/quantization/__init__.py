"""Mixed-precision quantization (Table 11): bit configurations, a quantizer, proxies, and a benchmark made here."""
