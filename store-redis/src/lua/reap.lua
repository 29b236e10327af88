-- Removes what has expired from index and metadata, and tells the watchers.
-- KEYS: 1 index, 2 meta, 3 expiries, 4 changelog, 5 version of the table, 6 head.
-- ARGV: 1 how many, 2 the table's tag, 3 seconds for which the changelog is kept without a watcher, or ''.
-- Returns how many entries were due, and whether the changelog exists.
local I, M, X, L, V, H = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local call, fmt = redis.call, string.format
local alive = 1
if ARGV[3] ~= '' then alive = call('EXPIRE', L, ARGV[3]) end
local version = call('GET', V)
local R = version and ARGV[2] .. '#r' .. version
if not R or call('EXISTS', R) == 0 then return {0, alive} end
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ks = call('ZRANGE', X, '-inf', fmt('(%.0f', now), 'BYSCORE', 'LIMIT', 0, ARGV[1])
for _, k in ipairs(ks) do
  local vk = ARGV[2] .. ':' .. k
  local at = due(vk)
  if not at then
    call('ZREM', X, k)
    if call('HDEL', M, k) == 1 then
      call('ZREM', I, k)
      local rev = fmt('%.0f', call('INCR', R))
      local r = redis.pcall('XADD', L, 'NOMKSTREAM', 'MAXLEN', '~', 10000, rev .. '-0', 'x', k)
      if type(r) == 'table' and r.err then call('DEL', L) end
      call('HSET', H, type(r) == 'string' and 'd' or 'g', rev)
    end
  else
    -- Written anew by somebody else, or given another life: the value's own key is right, the entry is not.
    at = fmt('%.0f', at)
    if at == '0' then call('ZREM', X, k) else call('ZADD', X, at, k) end
    local m = call('HGET', M, k)
    if m then call('HSET', M, k, (string.gsub(m, '^(%d+) %d+', '%1 ' .. at, 1))) end
  end
end
return {#ks, alive}
