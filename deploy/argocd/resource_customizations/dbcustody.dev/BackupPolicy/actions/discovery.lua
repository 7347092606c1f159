-- Which actions a BackupPolicy has now. An approval is none of them: whoever clicks here acts as Argo CD, not as a person.

local is_suspended = obj.spec.suspend == true

local actions = {}
actions["backup-now"] = { ["displayName"] = "Back up now", ["iconClass"] = "fa fa-fw fa-download" }
actions["suspend"] = { ["disabled"] = is_suspended, ["iconClass"] = "fa fa-fw fa-pause-circle" }
actions["resume"] = { ["disabled"] = not is_suspended, ["iconClass"] = "fa fa-fw fa-play-circle" }
return actions
