"""What runs show: named recipes, sweeps, results, and the reports' claims tested against them."""
