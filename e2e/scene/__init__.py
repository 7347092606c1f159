"""What the end-to-end tests play with: tenants in a real cluster, their databases and storages, and the ways to break them."""
