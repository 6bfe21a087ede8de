"""CPU, latency, throughput and memory of the gateway, beside others, on an upstream that costs next to nothing."""
