-- The configurations of databases, each "version created configuration".
-- KEYS: 1 all of them.  ARGV: 1 create or update, 2 name, 3 configuration, 4 now in ms.
-- Returns what there is then, and 1 where it was written just now; false to update where there is none.
local D = KEYS[1]
local call = redis.call
local held = call('HGET', D, ARGV[2])
local create = ARGV[1] == 'create'
if create and held then return {held, 0} end
if not create and not held then return false end
local t = call('TIME')
local version, created = t[1] * 1000000 + t[2], ARGV[4]
if held then
  local v, c = string.match(held, '^(%d+) (%d+) ')
  version, created = math.max(version, tonumber(v) + 1), c
end
held = string.format('%.0f', version) .. ' ' .. created .. ' ' .. ARGV[3]
call('HSET', D, ARGV[2], held)
return {held, 1}
