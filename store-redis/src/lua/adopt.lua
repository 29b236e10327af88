-- Takes values that others wrote into the table.
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
  if call('HEXISTS', M, k) == 0 and call('TYPE', vk).ok == 'string' then
    local rev = fmt('%.0f', call('INCR', R))
    local at, left = 0, call('PTTL', vk)
    if left > 0 then
      local t = call('TIME')
      at = t[1] * 1000 + math.floor(t[2] / 1000) + left
      call('ZADD', X, fmt('%.0f', at), k)
    end
    call('HSET', M, k, rev .. ' ' .. fmt('%.0f', at) .. ' ')
    call('ZADD', I, 0, k)
    local r = redis.pcall('XADD', L, 'NOMKSTREAM', 'MAXLEN', '~', 10000, rev .. '-0', 'p', k)
    if type(r) == 'table' and r.err then call('DEL', L) end
    new = new + 1
  end
end
return new
