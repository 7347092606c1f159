-- Makes a Backup in the way of this policy. A click in the same minute is the same Backup, and Argo CD says that it exists.
-- The minute, and not what the object says of itself, makes the name: a name that the storage knows already is adopted, not taken again.
-- Ten digits: with a policy's 52 characters a name has 63, which is what a Backup's may have; a CronJob's own names have eight.
-- No owner: deleting the policy must not delete the Backup. No labels of Argo CD: what is not in Git would be pruned.

local os = require("os")

local backup = {}
backup.apiVersion = obj.apiVersion
backup.kind = "Backup"
backup.metadata = {}
backup.metadata.name = obj.metadata.name .. "-" .. os.date("!%y%m%d%H%M")
backup.metadata.namespace = obj.metadata.namespace
backup.metadata.labels = {}
backup.metadata.labels["dbcustody.dev/policy"] = obj.metadata.name
backup.metadata.labels["dbcustody.dev/database"] = obj.spec.databaseRef.name
backup.spec = {}
backup.spec.policyRef = { ["name"] = obj.metadata.name }
backup.spec.databaseRef = { ["name"] = obj.spec.databaseRef.name }

return { { ["operation"] = "create", ["resource"] = backup } }
