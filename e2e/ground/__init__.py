"""The test ground: real PostgreSQL servers, a real S3 server and a real Kubernetes on one machine, from package registries only."""
