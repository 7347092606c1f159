-- No run is started while this stands; a run under way goes on, and Backups by hand are taken.
obj.spec.suspend = true
return obj
