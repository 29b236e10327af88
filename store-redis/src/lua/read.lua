-- Reads records where the server takes no transaction, because its memory is full.
-- KEYS: 1 meta, then the value keys.  ARGV: the keys.
-- Returns the values, then the metadata entries.
local values, entries = {}, {}
for i = 2, #KEYS do
  values[i - 1] = redis.pcall('GET', KEYS[i])
  entries[i - 1] = redis.call('HGET', KEYS[1], ARGV[i - 1])
end
return {values, entries}
