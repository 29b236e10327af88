-- Takes values that others wrote into the table, and records that others gave another life.
-- KEYS: 1 index, 2 meta, 3 expiries, 4 changelog, 5 version of the table, 6 head.  ARGV: 1 the table's tag, then keys.
-- Returns how many were new, or -1 where the table is not open.
local I, M, X, L, V = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local call, fmt = redis.call, string.format
local version = call('GET', V)
local R = version and ARGV[1] .. '#r' .. version
if not R or call('EXISTS', R) == 0 then return -1 end
local new = 0
for i = 2, #ARGV do
  local k = ARGV[i]
  local vk = ARGV[1] .. ':' .. k
  local m = call('HGET', M, k)
  local was = m and string.match(m, '^%d+ (%d+)')
  local at = call('TYPE', vk).ok == 'string' and due(vk, was)
  if at and fmt('%.0f', at) ~= was then
    local rev = fmt('%.0f', call('INCR', R))
    at = fmt('%.0f', at)
    if at == '0' then call('ZREM', X, k) else call('ZADD', X, at, k) end
    call('HSET', M, k, rev .. ' ' .. at .. ' ' .. (m and string.match(m, '^%d+ %d+ (.*)$') or ''))
    call('ZADD', I, 0, k)
    local r = redis.pcall('XADD', L, 'NOMKSTREAM', 'MAXLEN', '~', 10000, rev .. '-0', 'p', k)
    if type(r) == 'table' and r.err then call('DEL', L) end
    new = new + 1
  end
end
return new
