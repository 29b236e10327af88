-- Deletes some of a table's records.
-- KEYS: 1 index, 2 meta, 3 expiries, 4 changelog, 5 version of the table, 6 head.
-- ARGV: 1 how many, 2 the table's tag, 3 '1' = when none is left the table is closed for those who have it open.
-- Returns how many were deleted: 0 ends it.
local I, M, X, L, V, H = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local call = redis.call
local version = call('GET', V)
local R = version and ARGV[2] .. '#r' .. version
local ks = call('ZRANGE', I, 0, ARGV[1] - 1)
local n = #ks
if n == 0 then
  call('UNLINK', I, M, X)
  if ARGV[3] == '1' then call('DEL', V, H, R or V) end
  return 0
end
local watched = call('EXISTS', L) == 1
local kinds = {}
for i = 1, n do kinds[i] = call('UNLINK', ARGV[2] .. ':' .. ks[i]) == 1 and 'd' or 'x' end
call('ZREM', I, unpack(ks))
call('HDEL', M, unpack(ks))
call('ZREM', X, unpack(ks))
if R and call('EXISTS', R) == 1 then
  local last = call('INCRBY', R, n)
  if watched then
    for i = 1, n do
      local rev = string.format('%.0f-0', last - n + i)
      local r = redis.pcall('XADD', L, 'NOMKSTREAM', 'MAXLEN', '~', 10000, rev, kinds[i], ks[i])
      if type(r) == 'table' and r.err then
        call('DEL', L)
        watched = false
        break
      end
    end
  end
  call('HSET', H, watched and 'd' or 'g', string.format('%.0f', last))
end
return n
