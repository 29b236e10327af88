-- Opens a table for writers that know this version of its database's configuration.
-- KEYS: 1 version of the table, 2 changelog, 3 head.  ARGV: 1 the table's tag, 2 version, 3 the server's run.
-- Returns 1, or 0 where the table has a later version already.
local V, L, H = KEYS[1], KEYS[2], KEYS[3]
local call, fmt = redis.call, string.format
local to = ARGV[1] .. '#r' .. ARGV[2]
local version = call('GET', V)
if version then
  if tonumber(version) > tonumber(ARGV[2]) then return 0 end
  local from = ARGV[1] .. '#r' .. version
  if call('EXISTS', from) == 1 then
    if from ~= to then
      -- The counter has another name now: who writes with the old configuration will not find it.
      call('RENAME', from, to)
      call('SET', V, ARGV[2])
    end
    return 1
  end
end
-- A new counter begins with the server's clock in microseconds, ahead of any before it.
local t = call('TIME')
local n = t[1] * 1000000 + t[2]
local last = call('XREVRANGE', L, '+', '-', 'COUNT', 1)[1]
last = last and tonumber(string.match(last[1], '^%d+'))
if last and last >= n then n = last + 1 end
call('SET', to, fmt('%.0f', n))
call('SET', V, ARGV[2])
-- Whatever was before is not known.
call('HSET', H, 'g', fmt('%.0f', n), 'run', ARGV[3])
if last then call('XADD', L, fmt('%.0f-0', n), 'j', fmt('%.0f', last)) end
return 1
