-- Begins to keep changes for watchers, and tells where they stand.
-- KEYS: 1 changelog, 2 version of the table, 3 head.  ARGV: 1 the table's tag, 2 seconds to keep it without a watcher.
-- Returns the last revision, '0' where the table was never written, and the last one that removed a record without a word
-- in the changelog.
local L, V, H = KEYS[1], KEYS[2], KEYS[3]
local call, fmt = redis.call, string.format
local version = call('GET', V)
local n = version and call('GET', ARGV[1] .. '#r' .. version) or nil
local last = call('XREVRANGE', L, '+', '-', 'COUNT', 1)[1]
last = last and string.match(last[1], '^%d+')
if last and n and tonumber(last) > tonumber(n) then
  -- The server lost its latest writes, but not this.
  call('DEL', L)
  last = nil
end
local g = call('HGET', H, 'g') or '0'
if not last then
  -- The removals that the changelog before this one told are told nowhere any more.
  local d = call('HGET', H, 'd')
  if d and tonumber(d) > tonumber(g) then
    g = d
    call('HSET', H, 'g', g)
  end
  call('XADD', L, n and n .. '-0' or '0-1', 'w', '')
end
call('EXPIRE', L, ARGV[2])
return {n or last or '0', g}
