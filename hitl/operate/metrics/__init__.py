"""What is measured, in Prometheus' words. Labels come from closed lists: never people or teams."""
