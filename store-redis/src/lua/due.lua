-- Part of other scripts. When a value expires by its own key, which is the truth, in ms: 0 never, nil where there is none. A server
-- older than 7.0 tells only how long is left, and its clock after that: where the two come to what the entry says but for the moment
-- in between, the entry has it exactly.
local function due(vk, entry)
  if redis.REDIS_VERSION_NUM then
    local at = redis.call('PEXPIRETIME', vk)
    if at == -2 then return nil end
    return math.max(at, 0)
  end
  local left = redis.call('PTTL', vk)
  if left == -2 then return nil end
  if left == -1 then return 0 end
  local t = redis.call('TIME')
  local at = t[1] * 1000 + math.floor(t[2] / 1000) + left
  entry = tonumber(entry)
  return entry and math.abs(at - entry) <= 2 and entry or at
end
