-- Does changes to one table all or nothing, as apply.lua does each on its own: the same calls for all of them at once, so that the most
-- that a batch may have keeps the server for a few milliseconds only. No record is changed twice.
-- KEYS, ARGV, conditions, expiries and answers: as in apply.lua; the kinds are p, s, d and c.
local I, M, X, L, H, R = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local default = ARGV[3]
local call, match, fmt = redis.call, string.match, string.format
local count = (#ARGV - 3) / 7
if call('EXISTS', R) == 0 then return {-1} end
local t = call('TIME')
local clock = t[1] * 1000000 + t[2]

-- Adds an entry to the changelog, if there is one.
local logged = call('EXISTS', L) == 1
local function log(rev, ...)
  if not logged then return end
  local r = redis.pcall('XADD', L, 'NOMKSTREAM', 'MAXLEN', '~', 10000, rev .. '-0', ...)
  if type(r) ~= 'table' then return end
  call('DEL', L)
  logged = false
end

-- The first write of a run of the server puts the counter ahead of all that was given out before; see apply.lua.
if ARGV[2] ~= '' and call('HGET', H, 'run') ~= ARGV[2] then
  local n = tonumber(call('GET', R))
  if clock > n then
    local rev = fmt('%.0f', clock)
    call('SET', R, rev)
    log(rev, 'j', fmt('%.0f', n))
    call('HSET', H, 'g', rev)
  end
  call('HSET', H, 'run', ARGV[2])
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
  if string.sub(e, 1, 1) == '+' then return math.ceil(clock / 1000) + ms end
  if ms <= clock / 1000 then return false end
  return ms
end

-- What is there, and whether all can be done: nothing is changed before that is known.
local ks = {}
for i = 1, count do ks[i] = ARGV[7 * i - 2] end
local metas = call('HMGET', M, unpack(ks))
local ends, ended, revs = {}, {}, 0
for i = 1, count do
  local a, vk = 7 * i - 3, KEYS[6 + i]
  local kind, c, want = ARGV[a], ARGV[a + 2], ARGV[a + 3]
  local was = metas[i] and match(metas[i], '^%d+ (%d+)') or '0'
  local there
  if c ~= '' or was ~= '0' then there = call('EXISTS', vk) == 1 end
  if c ~= '' then
    local code, text
    local rev = metas[i] and match(metas[i], '^%d+') or ''
    if not there then
      if c ~= 'a' then code, text = 0, '-' end
    elseif c == 'v' then
      local n = redis.pcall('STRLEN', vk)
      if type(n) == 'table' then
        code, text = 7, ''
      elseif n ~= #want or call('GET', vk) ~= want then
        code, text = 0, rev
      end
    elseif c ~= rev then
      code, text = 0, rev
    end
    if code then return {-2, i, code, text} end
  end
  if kind ~= 'c' then
    if was ~= '0' then
      if there then ends[i] = was else
        -- What is gone before its time was evicted, or deleted by others.
        ended[i] = tonumber(was) > clock / 1000 and 'e' or 'x'
        revs = revs + 1
      end
    end
    if kind ~= 'd' and expiry(ARGV[a + 4], ends[i], vk) == false then return {-2, i, 8, ''} end
    if kind == 's' and call('EXISTS', ARGV[a + 6]) == 0 then return {-2, i, 6, ''} end
    revs = revs + 1
  end
end

-- Revisions follow each other without gaps. What turns out not to be needed is given back in the end.
local last = call('INCRBY', R, revs)
local rev = last - revs
local out = {}
local sets, hsets, adds, dues = {}, {}, {}, {}
local gone, undue, forgotten = {}, {}, nil
local function stamp()
  rev = rev + 1
  return fmt('%.0f', rev)
end
for i = 1, count do
  local a, vk, k = 7 * i - 3, KEYS[6 + i], ks[i]
  local kind, value = ARGV[a], ARGV[a + 6]
  if ended[i] then
    -- Its end comes before what follows.
    local r = stamp()
    log(r, ended[i], k)
    forgotten = r
    metas[i] = false
    gone[#gone + 1] = k
    undue[#undue + 1] = k
  end
  local code, text = 1, ''
  if kind == 'd' then
    local n = call('UNLINK', vk)
    if metas[i] then
      gone[#gone + 1] = k
      if ends[i] then undue[#undue + 1] = k end
    end
    if metas[i] or n == 1 then
      text = stamp()
      log(text, n == 1 and 'd' or 'x', k)
      forgotten = text
    end
    code = n == 1 and 2 or 3
  elseif kind ~= 'c' then
    local at = expiry(ARGV[a + 4], ends[i], vk)
    text = stamp()
    local m = text .. ' ' .. (at and fmt('%.0f', at) or '0') .. ' ' .. ARGV[a + 5]
    if kind == 's' then
      call('RENAME', value, vk)
      if at then call('PEXPIREAT', vk, fmt('%.0f', at)) else call('PERSIST', vk) end
      log(text, 'p', k)
    else
      if at then
        call('SET', vk, value, 'PXAT', fmt('%.0f', at))
      else
        sets[#sets + 1] = vk
        sets[#sets + 1] = value
      end
      if #value > 1024 then log(text, 'p', k) else log(text, 'p', k, 'm', m, 'v', value) end
    end
    if at then
      dues[#dues + 1] = fmt('%.0f', at)
      dues[#dues + 1] = k
    elseif ends[i] then
      undue[#undue + 1] = k
    end
    hsets[#hsets + 1] = k
    hsets[#hsets + 1] = m
    if not metas[i] then
      adds[#adds + 1] = 0
      adds[#adds + 1] = k
    end
  end
  out[2 * i - 1], out[2 * i] = code, text
end
if #gone > 0 then
  call('HDEL', M, unpack(gone))
  call('ZREM', I, unpack(gone))
end
if #undue > 0 then call('ZREM', X, unpack(undue)) end
if #sets > 0 then call('MSET', unpack(sets)) end
if #hsets > 0 then call('HSET', M, unpack(hsets)) end
if #adds > 0 then call('ZADD', I, unpack(adds)) end
if #dues > 0 then call('ZADD', X, unpack(dues)) end
if rev < last then call('DECRBY', R, fmt('%.0f', last - rev)) end
if forgotten then call('HSET', H, logged and 'd' or 'g', forgotten) end
return out
