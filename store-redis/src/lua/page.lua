-- A page of live keys in byte order.
-- KEYS: 1 index, 2 meta, 3 expiries, 4 changelog, 5 version of the table, 6 head.
-- ARGV: 1 least (as ZRANGE BYLEX takes it), 2 greatest, 3 how many, 4 how many to leave out first, 5 the table's tag.
-- Returns the last key looked at, or false at the end, then the live keys; {-1} where REAP must come first, because
-- expired keys would be counted.
local I, M, X, L, V, H = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local call = redis.call
local limit, skip = tonumber(ARGV[3]), tonumber(ARGV[4])
local ks
if skip == 0 then
  ks = call('ZRANGE', I, ARGV[1], ARGV[2], 'BYLEX', 'LIMIT', 0, limit)
else
  local t = call('TIME')
  if call('ZCOUNT', X, '-inf', string.format('(%.0f', t[1] * 1000 + math.floor(t[2] / 1000))) > 0 then return {-1} end
  local from, to = skip, call('ZLEXCOUNT', I, '-', ARGV[2])
  if ARGV[1] ~= '-' then
    local before = string.sub(ARGV[1], 1, 1) == '(' and '[' or '('
    from = from + call('ZLEXCOUNT', I, '-', before .. string.sub(ARGV[1], 2))
  end
  if from >= to then return {false} end
  to = math.min(to, from + limit)
  ks = call('ZRANGE', I, string.format('%.0f', from), string.format('%.0f', to - 1))
end
local n = #ks
local out = {n == limit and ks[n]}
if n == 0 then return out end
local vk = {}
for i = 1, n do vk[i] = ARGV[5] .. ':' .. ks[i] end
if call('EXISTS', unpack(vk)) == n then
  for i = 1, n do out[i + 1] = ks[i] end
  return out
end
local version = call('GET', V)
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for i = 1, n do
  local k = ks[i]
  if call('EXISTS', vk[i]) == 1 then
    out[#out + 1] = k
  elseif version and (tonumber(call('ZSCORE', X, k)) or now + 1) > now then
    -- Evicted, or deleted by somebody else. What has expired is left to REAP, which tells the watchers why it is gone. A read-only
    -- replica cannot mend it, and need not.
    if type(redis.pcall('ZREM', I, k)) == 'number' then
      call('HDEL', M, k)
      call('ZREM', X, k)
      local R = ARGV[5] .. '#r' .. version
      if call('EXISTS', R) == 1 then
        local rev = string.format('%.0f', call('INCR', R))
        local r = redis.pcall('XADD', L, 'NOMKSTREAM', 'MAXLEN', '~', 10000, rev .. '-0', 'e', k)
        if type(r) == 'table' and r.err then call('DEL', L) end
        call('HSET', H, type(r) == 'string' and 'd' or 'g', rev)
      end
    end
  end
end
return out
