-- How every kind of dbcustody.dev is, in Argo CD's words. Only the base of Lua is used: Argo CD gives a health check no libraries.
-- The order is the point: what was not looked at yet first, then what only a person can change, then what goes on by itself.

local metadata, spec, status = obj.metadata or {}, obj.spec or {}, obj.status or {}

if status.conditions == nil or status.observedGeneration ~= metadata.generation then
  return { status = "Progressing", message = "waiting for the operator to look at this generation" }
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end

local function is(kind, answer, reason)
  local found = conditions[kind]
  return found ~= nil and found.status == answer and (reason == nil or found.reason == reason)
end

local function verdict(health, kind)
  local found = conditions[kind]
  local message = found.message
  if message == nil or message == "" then
    return { status = health, message = found.reason }
  end
  return { status = health, message = found.reason .. ": " .. message }
end

-- It gave up. Stalled because of `spec.suspend` is no failure: a person wanted it.
if is("Stalled", "True") and not is("Stalled", "True", "Suspended") then
  return verdict("Degraded", "Stalled")
end
if is("Approved", "False") then
  return verdict("Degraded", "Approved")
end

-- What is done once (a Backup, a request) is over: its verdict never changes.
if is("Finished", "True") then
  if is("Succeeded", "True") then
    return verdict("Healthy", "Succeeded")
  end
  return verdict("Degraded", conditions.Succeeded and "Succeeded" or "Finished")
end

-- Ready says that work can be done; these say that the backups which there are do not hold what was promised.
if is("RecoveryPointCurrent", "False") then
  return verdict("Degraded", "RecoveryPointCurrent")
end
if is("ContinuityProven", "False") then
  return verdict("Degraded", "ContinuityProven")
end
-- While another spec is being looked at, perhaps the one that puts the key back, this is yesterday's news.
if is("KeysCurrent", "False", "KeyMissing") and not is("Reconciling", "True") then
  return verdict("Degraded", "KeysCurrent")
end

-- It waits for a person, who sees it here.
if is("Approved", "Unknown") then
  return verdict("Suspended", "Approved")
end
if spec.suspend == true then
  return { status = "Suspended", message = "`spec.suspend` is true" }
end
if is("RetentionEnforced", "False", "RetentionNeedsConfirmation") or is("RetentionEnforced", "False", "RetentionFrozen") then
  return verdict("Suspended", "RetentionEnforced")
end

-- It waits for another environment, for a backup that somebody else takes, or for the end of a freeze window.
if is("Ready", "Unknown", "PromotionPending") or is("Ready", "False", "BackupPending") or is("Ready", "False", "FreezeWindow") then
  return verdict("Suspended", "Ready")
end

-- It goes on by itself.
if is("Reconciling", "True") then
  return verdict("Progressing", "Reconciling")
end
if conditions.Finished ~= nil or conditions.Succeeded ~= nil then
  return verdict("Progressing", conditions.Succeeded and "Succeeded" or "Finished")
end
if is("Ready", "True") then
  return verdict("Healthy", "Ready")
end
if is("Ready", "False") then
  return verdict("Degraded", "Ready")
end
return { status = "Progressing", message = "no verdict yet" }
