"""What Prometheus reads at /metrics. Labels are names of the code: no user, symbol or secret."""
