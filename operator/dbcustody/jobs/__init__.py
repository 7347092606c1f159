"""The Jobs' door: what one pod does with one database and one storage; nothing here knows Kubernetes."""
