"""What tests share: scripted upstreams, the running service, a real Redis, canaries."""
