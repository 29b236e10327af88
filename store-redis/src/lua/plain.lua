-- A conditional change of one plain value.
-- KEYS: 1 the value.  ARGV: 1 put, delete, expire or increment, 2 condition ('' none, v value), 3 compared value,
--       4 expiry ('' never, k keep, +ms, @ms), 5 value or delta.
-- Returns a code and a text, with the codes of the layout `table`.
local K = KEYS[1]
local verb, c, want, e = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local call = redis.call
local there = call('EXISTS', K) == 1
if c == 'v' then
  if not there then return {0, '-'} end
  local n = redis.pcall('STRLEN', K)
  if type(n) == 'table' then return {7, ''} end
  if n ~= #want or call('GET', K) ~= want then return {0, ''} end
end
if verb == 'delete' then return {call('UNLINK', K) == 1 and 2 or 3, ''} end
if verb == 'expire' and not there then return {3, ''} end
local at
if e ~= '' and e ~= 'k' then
  local t = call('TIME')
  local now = t[1] * 1000 + t[2] / 1000
  at = tonumber(string.sub(e, 2))
  if string.sub(e, 1, 1) == '+' then at = math.ceil(now) + at end
  if at <= now then return {8, ''} end
  at = string.format('%.0f', at)
end
if verb == 'increment' then
  local r = redis.pcall('INCRBY', K, ARGV[5])
  if type(r) == 'table' then
    if string.find(r.err, 'overflow', 1, true) then return {5, ''} end
    if string.find(r.err, 'WRONGTYPE', 1, true) then return {7, ''} end
    if string.find(r.err, 'not an integer', 1, true) then return {4, ''} end
    return r
  end
  if at and not there then call('PEXPIREAT', K, at) end
  return {1, call('GET', K)}
end
if verb == 'expire' then
  if at then call('PEXPIREAT', K, at) else call('PERSIST', K) end
  return {1, ''}
end
if e == 'k' then
  call('SET', K, ARGV[5], 'KEEPTTL')
elseif at then
  call('SET', K, ARGV[5], 'PXAT', at)
else
  call('SET', K, ARGV[5])
end
return {1, ''}
