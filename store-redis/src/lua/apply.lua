-- Does changes to one table, each on its own or all or nothing.
-- KEYS: 1 index, 2 meta, 3 expiries, 4 changelog, 5 head, 6 revision counter; then the value key of each change, and the keys
-- where values wait.
-- ARGV: 1 'a' all or nothing, 's' one change without a condition, else '';  2 the server's run, if the counter may be of another one, else '';
--       3 default time to live in ms or '';  then per change: kind, key, condition, compared value, expiry, metadata, value.
-- Kinds: p put, s put of a value that waits at a key, d delete, e expiry, i increment (its metadata: how many
-- increments it is the sum of), c only the condition.
-- Conditions: '' none, a absent, v value, else the revision.  Expiries: '' never, d default, k keep, +ms, @ms.
-- Returns a code and a text per change; {-1} where the counter is gone (the table is not open); {-2, n, code, text}
-- where change n of an atomic batch cannot be done.
-- Codes: 0 condition failed (text: '-' absent, else the revision), 1 done (text: revision, for i also the value),
-- 2 deleted, 3 was absent, 4 no number, 5 overflow, 6 the waiting value is gone, 7 wrong type, 8 expiry in the past.
local I, M, X, L, H, R = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local mode, default = ARGV[1], ARGV[3]
local call, match, fmt = redis.call, string.match, string.format
local ops = (#ARGV - 3) / 7
local first, clock

local function now()
  if not clock then
    local t = call('TIME')
    clock = t[1] * 1000000 + t[2]
  end
  return clock
end

-- Whether it was kept. A changelog that cannot go on is dropped: its watchers begin anew.
local function log(rev, ...)
  local r = redis.pcall('XADD', L, 'NOMKSTREAM', 'MAXLEN', '~', 10000, rev .. '-0', ...)
  if type(r) ~= 'table' or not r.err then return r end
  call('DEL', L)
end

-- What is gone and not in the changelog cannot be told to who resumes before it, and what is in it only while the changelog is there.
local function gone(rev, kind, k)
  call('HSET', H, log(rev, kind, k) and 'd' or 'g', rev)
end

-- Revisions follow each other without gaps, so that a gap in the changelog is a loss. Each is taken at once from the counter:
-- were a script cut short, none is given out twice.
local function stamp()
  local r = first or call('INCR', R)
  first = nil
  return fmt('%.0f', r)
end

-- What is gone before its time was evicted, or deleted by others.
local function ended(k, at)
  call('ZREM', X, k)
  call('ZREM', I, k)
  call('HDEL', M, k)
  gone(stamp(), tonumber(at) > now() / 1000 and 'e' or 'x', k)
end

-- The metadata entry of a record and its expiry as that has it, which others may have changed since; what has expired is removed on
-- the way, so that its end comes before what follows.
local function held(k, vk)
  local m = call('HGET', M, k)
  if not m then return false end
  local at = match(m, '^%d+ (%d+)')
  if at == '0' then return m end
  if call('EXISTS', vk) == 0 then
    ended(k, at)
    return false
  end
  return m, at
end

local function check(k, vk, c, want)
  if c == '' then return end
  if call('EXISTS', vk) == 0 then
    if c ~= 'a' then return 0, '-' end
    return
  end
  local m = call('HGET', M, k)
  local rev = m and match(m, '^%d+') or ''
  if c == 'v' then
    local n = redis.pcall('STRLEN', vk)
    if type(n) == 'table' then return 7, '' end
    if n == #want and call('GET', vk) == want then return end
  elseif c == rev then
    return
  end
  return 0, rev
end

-- When a record expires, in ms; nil = never, false = that instant has passed.
local function expiry(e, was, vk)
  if e == 'k' then
    local at = due(vk, was)
    if at then return at > 0 and at or nil end
    e = 'd'
  end
  if e == 'd' then
    if default == '' then return nil end
    e = '+' .. default
  end
  if e == '' then return nil end
  local ms = tonumber(string.sub(e, 2))
  if string.sub(e, 1, 1) == '+' then return math.ceil(now() / 1000) + ms end
  if ms <= now() / 1000 then return false end
  return ms
end

local function keep(k, at, was, rev, meta)
  if at then
    call('ZADD', X, fmt('%.0f', at), k)
  elseif was then
    call('ZREM', X, k)
  end
  local m = rev .. ' ' .. (at and fmt('%.0f', at) or '0') .. ' ' .. meta
  if call('HSET', M, k, m) == 1 then call('ZADD', I, 0, k) end
  return m
end

local function put(k, vk, e, meta, value, staged)
  local m, was = held(k, vk)
  local at
  if e ~= '' then
    at = expiry(e, was, vk)
    if at == false then return 8, '' end
  end
  if staged and call('EXISTS', value) == 0 then return 6, '' end
  local rev = stamp()
  if staged then
    call('RENAME', value, vk)
    if at then call('PEXPIREAT', vk, fmt('%.0f', at)) else call('PERSIST', vk) end
  elseif at then
    call('SET', vk, value, 'PXAT', fmt('%.0f', at))
  else
    call('SET', vk, value)
  end
  m = keep(k, at, was, rev, meta)
  if staged or #value > 1024 then
    log(rev, 'p', k)
  else
    log(rev, 'p', k, 'm', m, 'v', value)
  end
  return 1, rev
end

local function delete(k, vk)
  local m = call('HGET', M, k)
  local n = call('UNLINK', vk)
  if m then
    call('HDEL', M, k)
    call('ZREM', I, k)
    call('ZREM', X, k)
  elseif n == 0 then
    return 3, ''
  end
  local rev = stamp()
  gone(rev, n == 1 and 'd' or 'x', k)
  return n == 1 and 2 or 3, rev
end

local function expire(k, vk, e)
  local m, was = held(k, vk)
  if call('EXISTS', vk) == 0 then return 3, '' end
  local at = expiry(e, was, vk)
  if at == false then return 8, '' end
  local rev = stamp()
  if at then call('PEXPIREAT', vk, fmt('%.0f', at)) else call('PERSIST', vk) end
  keep(k, at, was, rev, m and match(m, '^%d+ %d+ (.*)$') or '')
  log(rev, 'p', k)
  return 1, rev
end

local function increment(k, vk, delta, count)
  local m, was = held(k, vk)
  local there = call('EXISTS', vk) == 1
  local at = expiry('k', was, vk)
  local r = redis.pcall('INCRBY', vk, delta)
  if type(r) == 'table' then
    if string.find(r.err, 'overflow', 1, true) then return 5, '' end
    if string.find(r.err, 'WRONGTYPE', 1, true) then return 7, '' end
    if string.find(r.err, 'not an integer', 1, true) then return 4, '' end
    return 9, r.err
  end
  if at and not there then call('PEXPIREAT', vk, fmt('%.0f', at)) end
  local rev = stamp()
  if count > 1 then
    -- Several increments in one: each has its revision, and all but the last are over.
    local before = fmt('%.0f', tonumber(rev) - 1)
    local n = call('INCRBY', R, count - 1)
    log(fmt('%.0f', n - 1), 'j', before)
    rev = fmt('%.0f', n)
  end
  -- Not the number that Lua has: it is a double.
  local value = call('GET', vk)
  m = keep(k, at, was, rev, m and match(m, '^%d+ %d+ (.*)$') or '')
  log(rev, 'p', k, 'm', m, 'v', value)
  return 1, rev .. ' ' .. value
end

if mode == 's' then
  first = call('INCR', R)
  if first == 1 then
    call('DEL', R)
    return {-1}
  end
elseif call('EXISTS', R) == 0 then
  return {-1}
end

-- A server that was started again may have lost its latest writes, and would give out their revisions once more: the first write
-- of a run puts the counter ahead of all of them.
if ARGV[2] ~= '' and call('HGET', H, 'run') ~= ARGV[2] then
  local n = first and first - 1 or tonumber(call('GET', R))
  local t = now()
  if t > n then
    local rev = fmt('%.0f', t)
    call('SET', R, rev)
    log(rev, 'j', fmt('%.0f', n))
    call('HSET', H, 'g', rev)
    if first then first = call('INCR', R) end
  end
  call('HSET', H, 'run', ARGV[2])
end

local out = {}
if mode == 'a' then
  for i = 1, ops do
    local a, vk = 4 + (i - 1) * 7, KEYS[6 + i]
    local kind, k = ARGV[a], ARGV[a + 1]
    local code, text = check(k, vk, ARGV[a + 2], ARGV[a + 3])
    local e = ARGV[a + 4]
    if not code and string.sub(e, 1, 1) == '@' and not expiry(e) then code, text = 8, '' end
    if not code and kind == 's' and call('EXISTS', ARGV[a + 6]) == 0 then code, text = 6, '' end
    if code then return {-2, i, code, text} end
  end
end
for i = 1, ops do
  local a, vk = 4 + (i - 1) * 7, KEYS[6 + i]
  local kind, k = ARGV[a], ARGV[a + 1]
  local code, text
  if mode == '' then code, text = check(k, vk, ARGV[a + 2], ARGV[a + 3]) end
  if not code then
    if kind == 'p' then
      code, text = put(k, vk, ARGV[a + 4], ARGV[a + 5], ARGV[a + 6], false)
    elseif kind == 's' then
      code, text = put(k, vk, ARGV[a + 4], ARGV[a + 5], ARGV[a + 6], true)
    elseif kind == 'd' then
      code, text = delete(k, vk)
    elseif kind == 'i' then
      code, text = increment(k, vk, ARGV[a + 6], tonumber(ARGV[a + 5]))
    elseif kind == 'e' then
      code, text = expire(k, vk, ARGV[a + 4])
    else
      code, text = 1, ''
    end
  end
  out[#out + 1] = code
  out[#out + 1] = text
end
if first then call('DECR', R) end
return out
